"""Measurements that are made elsewhere: an alert's query, asked of Prometheus, becomes counts like our own."""
