"""The runtimes that run exported files, on this machine or on a remote one."""
