"""The runtimes that run exported files, here or on a device."""
