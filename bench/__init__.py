"""Measurements, run by make; nothing that relay needs."""
