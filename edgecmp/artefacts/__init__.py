"""What stands on disk between two commands: bundles of networks and latency tables."""
