from alembic import context

from authserver.extensions import Model

# The caller's transaction holds the lock: everything happens in it, or nothing does.
context.configure(connection=context.config.attributes["connection"], target_metadata=Model.metadata)
context.run_migrations()
