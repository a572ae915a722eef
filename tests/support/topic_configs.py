"""Settings of topics, changed as an operator changes them."""

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource


def set_config(brokers: str, topic: str, name: str, value: str) -> None:
    """Set one setting of a topic, and leave the others as they are."""
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    change = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": brokers})
    for changed in admin.incremental_alter_configs([change]).values():
        changed.result(timeout=60)
