"""The seam of ``core_messaging.broker`` on aiokafka. All that leans on the client is in here."""
