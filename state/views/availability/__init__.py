"""The newest status of every section, and who waits for one."""
