"""`edgecmp bench`: latency of exported files on a device."""
