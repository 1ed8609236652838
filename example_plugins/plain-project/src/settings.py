from core.settings import Settings


class AppSettings(Settings):
    kafka_enabled: bool = True
    kafka_bootstrap_servers: str = "localhost:9092"

    smtp_host: str = "localhost"
    smtp_port: int = 25
