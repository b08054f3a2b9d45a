"""Composition root: the only room that builds services from settings; one file for each process.

Each runs until it is told to stop, and loads what it needs: ingest starts without the web and the wear models.
"""
