"""For tests, of authserver and of whoever builds on it: stand-ins for the providers' servers, on loopback."""
