"""Files between the pages' drives and the folder in which kernels work."""
