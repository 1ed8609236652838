"""The asyncio shell around the rules: fetch, schedule, handle, settle, commit."""
