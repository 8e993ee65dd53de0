"""What only development has: registered by `app.py` where AUTHSERVER_ENV is `development`, and nowhere else."""
