"""The two files that are copied to a device and run there; they import nothing from edgecmp."""
