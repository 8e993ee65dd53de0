"""Read by gunicorn by itself, from the working directory. Command-line options win over it."""

import os

bind = os.environ.get("BIND", "127.0.0.1:8000")
# One synchronous worker, gunicorn's default, would let a slow request hold up all others.
worker_class = "gthread"
# The workers read it too: they share the cores out among them where passwords are hashed.
workers = int(os.environ.setdefault("WEB_CONCURRENCY", str(os.cpu_count() or 1)))
# Half of them may wait for one provider, three quarters for all: oauth/upstream.py.
threads = 32
# What waits longest is a provider, 8 s at most.
timeout = 30
graceful_timeout = 20
# One path for all servers of a user, and nothing of ours asks it.
control_socket_disable = True
