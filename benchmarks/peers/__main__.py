"""`python -m edgecmp.benchmarks.peers` compares our exporter with others."""

from edgecmp.benchmarks.peers.run import main

if __name__ == "__main__":
    main()
