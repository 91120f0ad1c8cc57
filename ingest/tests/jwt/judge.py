"""Judges tokens by PyJWT: reads {key_set, issuer, audience, now, skew, tokens} and writes which tokens are taken."""

import datetime
import json
import sys

import jwt
import jwt.api_jwt

given = json.load(sys.stdin)


class Now(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(given["now"], tz)


jwt.api_jwt.datetime = Now
keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(given["key_set"]).keys}


def takes(token):
    try:
        header = jwt.get_unverified_header(token)
        key = keys[header["kid"]]
        # PyJWT leaves it to its caller to bind an algorithm to a key.
        jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm_name],
            audience=given["audience"],
            issuer=given["issuer"],
            leeway=given["skew"],
            options={"require": ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"]},
        )
        return True
    except Exception:  # Whatever it is that it does not like.
        return False


json.dump([takes(token) for token in given["tokens"]], sys.stdout)
