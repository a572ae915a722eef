"""How our clients reach Kafka: whom they believe, and how they prove who they are.

The only place that knows the names of librdkafka (API pods, scripts, a worker's checks at start)
and of aiokafka (all else of a worker) for these settings. Host names are always verified under
TLS. Files are read at start: restart a process after its certificate or password was renewed.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final, Never, Self

from infra.process.environment import BadSetting, Environment, file, one_of, setting

PROTOCOL: Final = "KAFKA_SECURITY_PROTOCOL"
MECHANISM: Final = "KAFKA_SASL_MECHANISM"
USERNAME: Final = "KAFKA_SASL_USERNAME"
PASSWORD: Final = "KAFKA_SASL_PASSWORD"  # noqa: S105  (the variable's name)
CA: Final = "KAFKA_SSL_CA"
CERT: Final = "KAFKA_SSL_CERT"
KEY: Final = "KAFKA_SSL_KEY"
KEY_PASSWORD: Final = "KAFKA_SSL_KEY_PASSWORD"  # noqa: S105

PLAINTEXT: Final = "PLAINTEXT"
_PROTOCOLS: Final = (PLAINTEXT, "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_SECRETS: Final = ("password", "key_password")

KafkaOptions = Mapping[str, str | int | float | bool]
"""Options of a client of librdkafka, as `KafkaSecurity.librdkafka` gives them."""

# `Never`: nothing is in it, so that it also serves where all options are text.
NO_OPTIONS: Final[Mapping[str, Never]] = {}


@dataclass(frozen=True, slots=True, repr=False)
class KafkaSecurity:
    """Settings of every connection to Kafka; without any of them the connection is plain.

    protocol:  KAFKA_SECURITY_PROTOCOL, PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
    mechanism: KAFKA_SASL_MECHANISM, PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    username:  KAFKA_SASL_USERNAME.
    password:  KAFKA_SASL_PASSWORD, or what stands in the file KAFKA_SASL_PASSWORD_FILE.
    ca:        KAFKA_SSL_CA, PEM file of the authorities believed; empty for the system's.
    cert:      KAFKA_SSL_CERT, PEM file of our certificate and its chain, for mutual TLS.
    key:       KAFKA_SSL_KEY, PEM file of its key.
    key_password: KAFKA_SSL_KEY_PASSWORD, or in KAFKA_SSL_KEY_PASSWORD_FILE, of a locked key.
    """

    protocol: str = setting(PROTOCOL, one_of(*_PROTOCOLS), PLAINTEXT)
    mechanism: str = setting(MECHANISM, one_of(*_MECHANISMS), "")
    username: str = setting(USERNAME, str, "")
    password: str = setting(PASSWORD, str, "", is_secret=True)
    ca: str = setting(CA, file, "")
    cert: str = setting(CERT, file, "")
    key: str = setting(KEY, file, "")
    key_password: str = setting(KEY_PASSWORD, str, "", is_secret=True)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Build from environment variables; raises BadSetting, without any secret in it."""
        read = Environment(environ)
        security = cls.read(read)
        read.check()
        return security

    @classmethod
    def read(cls, read: Environment) -> Self:
        """Read among other settings, whose faults come to the others'."""
        known_faults = len(read.faults)
        security = cls(**read.values_of(cls))
        # What cannot be read has a default here, which goes with nothing.
        if len(read.faults) == known_faults and (refusal := security._unusable()):
            read.refuse(refusal)
        return security

    @property
    def uses_tls(self) -> bool:
        return self.protocol in {"SSL", "SASL_SSL"}

    @property
    def uses_sasl(self) -> bool:
        return self.protocol in {"SASL_PLAINTEXT", "SASL_SSL"}

    def librdkafka(self) -> dict[str, str]:
        """Return options of librdkafka beside the brokers; none for plain connections."""
        if self.protocol == PLAINTEXT:
            return {}
        options = {
            "security.protocol": self.protocol,
            "sasl.mechanism": self.mechanism,
            "sasl.username": self.username,
            "sasl.password": self.password,
            "ssl.ca.location": self.ca,
            "ssl.certificate.location": self.cert,
            "ssl.key.location": self.key,
            "ssl.key.password": self.key_password,
        }
        if self.uses_tls:
            # Its defaults, but not ours to leave to a version.
            options["enable.ssl.certificate.verification"] = "true"
            options["ssl.endpoint.identification.algorithm"] = "https"
        return {name: value for name, value in options.items() if value}

    def aiokafka(self) -> dict[str, Any]:
        """Return arguments of aiokafka's clients beside the brokers; none for plain ones.

        From then on all clients of the process ask again where brokers name none, and hang up soon
        under TLS.
        """
        # Loaded here, so that whoever speaks through librdkafka alone need not load aiokafka.
        from infra.process.no_brokers import wait_for_brokers  # noqa: PLC0415

        wait_for_brokers()
        if self.protocol == PLAINTEXT:
            return {}
        arguments: dict[str, Any] = {"security_protocol": self.protocol}
        if self.uses_tls:
            from infra.process.hanging_up import hang_up_soon  # noqa: PLC0415

            hang_up_soon()
            arguments["ssl_context"] = self.ssl_context()
        if self.uses_sasl:
            arguments["sasl_mechanism"] = self.mechanism
            arguments["sasl_plain_username"] = self.username
            arguments["sasl_plain_password"] = self.password
        return arguments

    def ssl_context(self) -> ssl.SSLContext:
        """Return what TLS connections of asyncio are made with, the same each time.

        Raises BadSetting for files that are not what they should be.
        """
        return _ssl_context(self.ca, self.cert, self.key, self.key_password)

    def _unusable(self) -> str:
        """Return what is wrong with these settings together; empty for nothing."""
        refusal = self._refusal()
        if not refusal and self.uses_tls:
            try:
                # Now, by its variable, and not by a client later.
                self.ssl_context()
            except BadSetting as error:
                return str(error)
        return refusal

    def _refusal(self) -> str:
        """Return what does not go together and what to do about it; empty for nothing."""
        chosen = f"{PROTOCOL}={self.protocol}"
        sasl = {
            MECHANISM: self.mechanism,
            USERNAME: self.username,
            f"{PASSWORD} or {PASSWORD}_FILE": self.password,
        }
        for name, value in sasl.items():
            if self.uses_sasl and not value:
                return f"{chosen} needs {name}"
            if value and not self.uses_sasl:
                return f"{name} is set, but {chosen} shows it to nobody: use SASL_SSL, or unset it"
        tls = {CA: self.ca, CERT: self.cert, KEY: self.key, KEY_PASSWORD: self.key_password}
        for name, value in tls.items():
            if value and not self.uses_tls:
                return f"{name} is set, but {chosen} uses no TLS: use SSL or SASL_SSL, or unset it"
        if self.cert and not self.key:
            return f"{CERT} needs {KEY}, its key"
        if self.key and not self.cert:
            return f"{KEY} needs {CERT}, the certificate that it belongs to"
        if self.key_password and not self.key:
            return f"{KEY_PASSWORD} needs {KEY}, which it opens"
        return ""

    def __repr__(self) -> str:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in _SECRETS:
            values[name] = "(set)" if values[name] else ""
        shown = ", ".join(f"{name}={value!r}" for name, value in values.items() if value)
        return f"KafkaSecurity({shown})"


NO_SECURITY: Final = KafkaSecurity()


# Every client of a worker is built with it, and the system's authorities take a while to read.
@lru_cache(maxsize=1)
def _ssl_context(ca: str, cert: str, key: str, key_password: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise BadSetting(f"{CA}={ca!r}: no certificates in PEM form ({_why(error)})") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert:
        try:
            # Always with a password: OpenSSL would ask for one on the terminal.
            context.load_cert_chain(cert, key, lambda: key_password)
        except (OSError, ValueError) as error:
            raise BadSetting(
                f"{CERT}={cert!r} and {KEY}={key!r}: not a certificate and its key in PEM form,"
                f" or {KEY_PASSWORD} does not open the key ({_why(error)})"
            ) from error
    return context


def _why(error: Exception) -> str:
    return str(getattr(error, "reason", "") or getattr(error, "strerror", "") or error)
