"""Configure gunicorn: `gunicorn -c python:authserver.serving.config 'authserver:create_app()'`.

`gunicorn.conf.py` in the project's folder is the same. Command-line options win over it.
"""

import os

bind = os.environ.get("BIND", "127.0.0.1:8000")
# gunicorn's own workers read a request in the thread that answers it: a few dozen slow clients would stop them all.
worker_class = "authserver.serving.worker.Worker"
# The workers read it too: they share the cores out among them where passwords are hashed.
workers = int(os.environ.setdefault("WEB_CONCURRENCY", str(os.cpu_count() or 1)))
# Half of them may wait for one provider, three quarters for all: oauth/upstream.py.
threads = 32
# What waits longest is a provider, 8 s at most.
timeout = 30
graceful_timeout = 20
# One path for all servers of a user, and nothing of ours asks it.
control_socket_disable = True
