"""Machines that work together through Dask: the connection, its checks, and tasks whose results count once."""
