"""Requests and answers: connections, TLS, where requests may go, and what may be shown."""
