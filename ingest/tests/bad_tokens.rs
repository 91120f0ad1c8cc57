//! Tokens good and bad, held against the rules, and the rules against two other libraries.

#![expect(clippy::unwrap_used, reason = "a test that cannot make a token has failed")]

mod jwt;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use jwt::bad::{Case, cases};
use jwt::{ALGORITHMS, AUDIENCE, ISSUER, Issuer, NOW_S, SKEW_S, claims, claims_with, header, with};
use serde_json::{Value, json};
use tillrace_ingest::token::{
    Claims, KeySet, TokenAlgorithm, TokenFault, TokenProfile, TokenRules, UnverifiedToken,
};

fn rules(profile: TokenProfile) -> TokenRules {
    TokenRules {
        issuer: ISSUER.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        profile,
        algorithms: TokenAlgorithm::ALL.to_vec(),
        skew_s: SKEW_S,
    }
}

fn judge(rules: &TokenRules, keys: &Value, token: &str) -> Result<Claims, TokenFault> {
    let keys = KeySet::parse(keys.to_string().as_bytes()).unwrap();
    let token = UnverifiedToken::parse(token.as_bytes())?;
    rules.check(&token, NOW_S)?;
    keys.key_of(&token)?.verify(token)
}

#[test]
fn every_token_is_taken_or_refused_as_the_list_says() {
    let issuer = Issuer::new();
    let (keys, rules) = (issuer.key_set(), rules(TokenProfile::Rfc9068));
    let all = cases(&issuer);
    let mut wrong = Vec::new();
    for Case { name, token, fault, .. } in &all {
        let found = judge(&rules, &keys, token).err();
        if found != *fault {
            wrong.push(format!("{name}: {found:?} in place of {fault:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(all.len() >= 100, "{} cases", all.len());
    for fault in TokenFault::ALL {
        assert!(all.iter().any(|case| case.fault == Some(fault)), "no case of {fault:?}");
    }
}

/// Returns the folder of the other libraries; without it the test says so, and fails in CI.
#[expect(clippy::print_stderr, reason = "who runs the tests must see what was not run")]
fn judges() -> Option<PathBuf> {
    let folder = std::env::var_os("TILLRACE_JWT_JUDGES").map(PathBuf::from);
    if folder.is_none() {
        let missing = "TILLRACE_JWT_JUDGES is not set (ingest/tests/jwt/fetch FOLDER prints it): \
                       the list of tokens was not held against PyJWT and jose";
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("NOT RUN: {missing}");
    }
    folder
}

#[test]
fn other_libraries_judge_alike_but_where_they_look_at_less() {
    let Some(folder) = judges() else { return };
    let issuer = Issuer::new();
    let all = cases(&issuer);
    let tokens: Vec<&str> = all.iter().map(|case| case.token.as_str()).collect();
    let given = json!({
        "key_set": issuer.key_set(), "issuer": ISSUER, "audience": AUDIENCE,
        "now": NOW_S, "skew": SKEW_S, "tokens": tokens,
    });
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jwt");
    let mut pyjwt = Command::new(folder.join("venv/bin/python"));
    pyjwt.arg(here.join("judge.py"));
    let mut jose = Command::new("node");
    jose.arg(here.join("judge.mjs")).arg(&folder);
    let mut wrong = Vec::new();
    for (library, command) in [("pyjwt", &mut pyjwt), ("jose", &mut jose)] {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{library}");
        let taken: Vec<bool> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(taken.len(), all.len());
        for (case, taken) in all.iter().zip(taken) {
            let expected = case.fault.is_none() || case.taken_by.contains(&library);
            if taken != expected {
                wrong.push(format!("{library} says {taken} to: {}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn tokens_of_real_issuers_are_taken_by_their_own_keys_only() {
    let Some(folder) = judges() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jwt/issuers.mjs");
    let output = Command::new("node").arg(script).arg(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let issuers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> = issuers.iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names.len(), 2 * ALGORITHMS.len(), "{names:?}");
    for issuer in &issuers {
        let text = issuer["token"].as_str().unwrap();
        let rules = TokenRules {
            issuer: issuer["issuer"].as_str().unwrap().to_owned(),
            ..rules(TokenProfile::Rfc9068)
        };
        for other in &issuers {
            let keys = KeySet::parse(other["key_set"].to_string().as_bytes()).unwrap();
            assert_eq!(keys.counts(), (1, 0), "{}", other["name"]);
            let token = UnverifiedToken::parse(text.as_bytes()).unwrap();
            // The issuers live by the machine's clock.
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let now_s = i64::try_from(since_epoch.as_secs()).unwrap();
            assert_eq!(rules.check(&token, now_s), Ok(()), "{}", issuer["name"]);
            let claims = keys.key_of(&token).and_then(|key| key.verify(token.clone()));
            assert_eq!(claims.is_ok(), other["name"] == issuer["name"], "{}", issuer["name"]);
            if let Ok(claims) = claims {
                assert_eq!(TokenProfile::Rfc9068.client(&claims), Some("till-7"));
                assert_eq!(TokenProfile::Rfc9068.scopes(&claims), ["events:write"]);
            }
        }
    }
}

#[test]
fn each_profile_takes_its_issuers_access_tokens_and_no_others() {
    let issuer = Issuer::new();
    let keys = issuer.key_set();
    let typed = |typ: Value| with(header("RS256"), json!({"typ": typ}));
    let entra = claims_with(json!({"client_id": null, "jti": null, "azp": "till-7", "scope": null,
        "scp": "events.write", "roles": ["events:write"]}));
    let cognito = claims_with(json!({"aud": null, "token_use": "access", "client_id": AUDIENCE}));
    let keycloak = claims_with(json!({"client_id": null, "azp": "till-7", "typ": "Bearer"}));
    let tokens = [
        (TokenProfile::Rfc9068, issuer.token(&header("RS256"), &claims())),
        (TokenProfile::EntraId, issuer.token(&typed(json!("JWT")), &entra)),
        (TokenProfile::Cognito, issuer.token(&typed(Value::Null), &cognito)),
        (TokenProfile::Keycloak, issuer.token(&typed(json!("JWT")), &keycloak)),
    ];
    for (profile, _) in &tokens {
        for (of, token) in &tokens {
            let found = judge(&rules(*profile), &keys, token);
            assert_eq!(
                found.is_ok(),
                profile == of,
                "{profile:?} and a token of {of:?}: {found:?}"
            );
            if let Ok(claims) = found {
                assert!(profile.client(&claims).is_some());
                assert!(profile.scopes(&claims).contains(&"events:write"), "{profile:?}");
                assert_eq!(claims.expires_s(), Some(NOW_S + 600));
            }
        }
    }
    let identity = claims_with(json!({"client_id": null, "azp": "till-7", "typ": "ID"}));
    let token = issuer.token(&typed(json!("JWT")), &identity);
    assert_eq!(judge(&rules(TokenProfile::Keycloak), &keys, &token), Err(TokenFault::Type));
    let identity = claims_with(json!({"token_use": "id", "aud": null, "client_id": AUDIENCE}));
    let token = issuer.token(&typed(Value::Null), &identity);
    assert_eq!(judge(&rules(TokenProfile::Cognito), &keys, &token), Err(TokenFault::Type));
}

#[test]
fn an_issuer_uses_no_algorithm_that_it_may_not() {
    let issuer = Issuer::new();
    let rules =
        TokenRules { algorithms: vec![TokenAlgorithm::Es256], ..rules(TokenProfile::Rfc9068) };
    for algorithm in ALGORITHMS {
        let token = issuer.token(&header(algorithm), &claims());
        let expected = if algorithm == "ES256" { None } else { Some(TokenFault::Algorithm) };
        assert_eq!(judge(&rules, &issuer.key_set(), &token).err(), expected);
    }
}

#[test]
fn keys_that_cannot_be_trusted_are_skipped() {
    let issuer = Issuer::new();
    let key = |changes: Value| with(issuer.jwk("ES256"), changes);
    let counts =
        |keys: Value| KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap().counts();
    for bad in [
        key(json!({"use": "enc"})),
        key(json!({"key_ops": ["sign"]})),
        key(json!({"alg": "RS256"})),
        key(json!({"alg": "HS256"})),
        key(json!({"crv": "P-384"})),
        key(json!({"x": jwt::base64([1; 32])})),
        key(json!({"d": "AA"})),
        key(json!({"kid": 1})),
        json!({"kty": "oct", "k": "AAAA", "kid": "secret", "alg": "HS256"}),
        with(issuer.jwk("RS256"), json!({"n": jwt::base64([0xff; 128])})),
        with(issuer.jwk("RS256"), json!({"e": jwt::base64([2])})),
        with(issuer.jwk("RS256"), json!({"e": jwt::base64([0xff; 256])})),
        with(issuer.jwk("EdDSA"), json!({"x": jwt::base64([1; 31])})),
        json!("no key"),
    ] {
        assert_eq!(counts(json!([bad, issuer.jwk("RS256")])), (1, 1), "{bad}");
    }
    assert_eq!(
        counts(json!([key(json!({})), key(json!({}))])),
        (0, 2),
        "which of two is not guessed"
    );
    assert_eq!(counts(json!([key(json!({"alg": null})), issuer.jwk("RS256")])), (2, 0));
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
    }
    let many = vec![issuer.jwk("RS256"); 65];
    assert!(KeySet::parse(json!({"keys": many}).to_string().as_bytes()).is_err());
}

#[test]
fn a_token_without_a_key_id_needs_a_single_key() {
    let issuer = Issuer::new();
    let token = issuer.token(&with(header("RS256"), json!({"kid": null})), &claims());
    let (rules, keys) = (rules(TokenProfile::Rfc9068), issuer.key_set());
    assert!(judge(&rules, &keys, &token).is_ok());
    let other = with(issuer.jwk("RS256"), json!({"kid": "next"}));
    let two = json!({"keys": [issuer.jwk("RS256"), other]});
    assert_eq!(judge(&rules, &two, &token).err(), Some(TokenFault::UnknownKey));
}

#[test]
fn nothing_of_a_token_is_shown() {
    let issuer = Issuer::new();
    let text = issuer.token(&header("RS256"), &claims());
    let token = UnverifiedToken::parse(text.as_bytes()).unwrap();
    let shown =
        format!("{token:?} {:?}", judge(&rules(TokenProfile::Rfc9068), &issuer.key_set(), &text));
    assert!(!shown.contains("till-7") && !shown.contains("a1\""), "{shown}");
}
