"""Implements ``core_messaging.broker`` on aiokafka. No other package imports aiokafka."""
