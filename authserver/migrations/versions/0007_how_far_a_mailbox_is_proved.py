"""how far a mailbox is proved: by a sign-up's link alone; and by which identity an account was made"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("users", sa.Column("verified_by_link_at", sa.DateTime(timezone=True)))
    op.add_column("users", sa.Column("signup_identity_id", sa.Uuid()))
    # Whoever has no password came by an identity; of accounts that have one nobody can tell.
    op.execute(
        "UPDATE users SET signup_identity_id = "
        "(SELECT id FROM identities WHERE user_id = users.id ORDER BY created_at LIMIT 1) WHERE password_hash IS NULL"
    )
