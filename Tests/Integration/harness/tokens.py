"""JSON Web Tokens made by hand, so that nothing of the edge's own code judges itself."""

import base64
import hashlib
import hmac
import json
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

SECRET = "a-secret-of-more-than-32-octets-for-HS256"


def encoded(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def integer(value, count=None):
    """An integer as a JWK member (RFC 7518 §6)."""
    return encoded(value.to_bytes(count or (value.bit_length() + 7) // 8, "big"))


def claims(**changes):
    """Claims that are good for an hour; a change to None removes one."""
    now = int(time.time())
    all_claims = {"sub": "alice", "iat": now, "exp": now + 3600} | changes
    return {name: value for name, value in all_claims.items() if value is not None}


def signed(header, payload, sign):
    text = encoded(json.dumps(header).encode()) + "." + encoded(json.dumps(payload).encode())
    return f"{text}.{encoded(sign(text.encode()))}"


def hs256(payload, secret=SECRET, **header):
    def sign(octets):
        return hmac.digest(secret.encode(), octets, hashlib.sha256)

    return signed({"alg": "HS256", "typ": "JWT"} | header, payload, sign)


def rs256(payload, key, **header):
    def sign(octets):
        return key.sign(octets, padding.PKCS1v15(), hashes.SHA256())

    return signed({"alg": "RS256", "typ": "JWT"} | header, payload, sign)


def es256(payload, key, **header):
    def sign(octets):
        r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return signed({"alg": "ES256", "typ": "JWT"} | header, payload, sign)


def unsigned(payload):
    return signed({"alg": "none", "typ": "JWT"}, payload, lambda octets: b"")


def rsa_jwk(key, kid):
    numbers = key.public_key().public_numbers()
    return {
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
        "n": integer(numbers.n), "e": integer(numbers.e),
    }


def ec_jwk(key, kid):
    numbers = key.public_key().public_numbers()
    return {
        "kty": "EC", "use": "sig", "alg": "ES256", "kid": kid, "crv": "P-256",
        "x": integer(numbers.x, 32), "y": integer(numbers.y, 32),
    }


def payload_of(token):
    middle = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
