"""Finds workers and settings in installed packages, the project and this process, and tells what is wrong with each."""
