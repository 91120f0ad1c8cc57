//! Tokens that must not be taken, each with what is wrong with it.

use serde_json::{Value, json};
use tillrace_ingest::token::TokenFault;

use super::{
    ALGORITHMS, AUDIENCE, ISSUER, Issuer, NOW_S, SKEW_S, base64, claims, claims_with, header, with,
};

/// A token, and what must become of it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) token: String,
    /// `None` for one that must be taken.
    pub(crate) fault: Option<TokenFault>,
    /// Other libraries that take it, because they look at less.
    pub(crate) taken_by: &'static [&'static str],
}

/// All cases: good tokens, those just inside the limits, and the bad ones.
pub(crate) fn cases(issuer: &Issuer) -> Vec<Case> {
    let mut cases = Cases { issuer, all: Vec::new() };
    cases.good();
    cases.algorithms();
    cases.keys();
    cases.signatures();
    cases.shapes();
    cases.types();
    cases.times();
    cases.claims();
    cases.all
}

const NOBODY: &[&str] = &[];
const PYJWT: &[&str] = &["pyjwt"];
const JOSE: &[&str] = &["jose"];
const BOTH: &[&str] = &["jose", "pyjwt"];

struct Cases<'a> {
    issuer: &'a Issuer,
    all: Vec<Case>,
}

impl Cases<'_> {
    fn add(
        &mut self,
        name: impl Into<String>,
        token: String,
        fault: impl Into<Option<TokenFault>>,
        taken_by: &'static [&'static str],
    ) {
        self.all.push(Case { name: name.into(), token, fault: fault.into(), taken_by });
    }

    /// Adds a token that is good but for its header.
    fn headed(
        &mut self,
        name: &str,
        changes: Value,
        fault: TokenFault,
        taken_by: &'static [&'static str],
    ) {
        let token = self.issuer.token(&with(header("RS256"), changes), &claims());
        self.add(name, token, fault, taken_by);
    }

    /// Adds a token that is good but for its claims.
    fn claiming(
        &mut self,
        name: &str,
        changes: Value,
        fault: impl Into<Option<TokenFault>>,
        taken_by: &'static [&'static str],
    ) {
        let token = self.issuer.token(&header("ES256"), &claims_with(changes));
        self.add(name, token, fault, taken_by);
    }

    fn good(&mut self) {
        for algorithm in ALGORITHMS {
            let token = self.issuer.token(&header(algorithm), &claims());
            self.add(format!("good, {algorithm}"), token, None, BOTH);
        }
        let long = with(header("RS256"), json!({"typ": "application/AT+JWT"}));
        self.add("good, typ written out", self.issuer.token(&long, &claims()), None, BOTH);
        self.claiming("good, several audiences", json!({"aud": ["other", AUDIENCE]}), None, BOTH);
    }

    fn algorithms(&mut self) {
        for name in ["none", "None", "NONE", "nOnE", ""] {
            let head = with(header("RS256"), json!({"alg": name}));
            let unsigned =
                format!("{}.{}.", base64(head.to_string()), base64(claims().to_string()));
            self.add(
                format!("alg `{name}`, no signature"),
                unsigned,
                TokenFault::Algorithm,
                NOBODY,
            );
        }
        let hmac = with(header("RS256"), json!({"alg": "HS256"}));
        let token = self.issuer.token_of("HS256", &hmac.to_string(), &claims().to_string());
        self.add("HS256 under the public key", token, TokenFault::Algorithm, NOBODY);
        for name in ["rs256", "RS384", "ES384", "ES256K", "RSA-OAEP"] {
            let head = with(header("RS256"), json!({"alg": name})).to_string();
            let token = self.issuer.token_of("RS256", &head, &claims().to_string());
            self.add(format!("alg `{name}`"), token, TokenFault::Algorithm, NOBODY);
        }
        let head = with(header("RS256"), json!({"alg": ["RS256"]})).to_string();
        let token = self.issuer.token_of("RS256", &head, &claims().to_string());
        self.add("alg as a list", token, TokenFault::Algorithm, NOBODY);
        // The key is an RSA key too, but not for this algorithm.
        let head = with(header("PS256"), json!({"kid": "rs"}));
        self.add(
            "PS256 under the key of RS256",
            self.issuer.token(&head, &claims()),
            TokenFault::UnknownKey,
            NOBODY,
        );
    }

    fn keys(&mut self) {
        let forger = Issuer::new();
        for algorithm in ALGORITHMS {
            let token = forger.token(&header(algorithm), &claims());
            self.add(format!("another's key, {algorithm}"), token, TokenFault::Signature, NOBODY);
        }
        let bring = |more: Value| forger.token(&with(header("RS256"), more), &claims());
        let cases = [
            ("key in the header", json!({"jwk": forger.jwk("RS256")})),
            ("key in the header, no kid", json!({"jwk": forger.jwk("RS256"), "kid": null})),
            ("key set by address", json!({"jku": "https://forger.example/keys"})),
            ("certificate in the header", json!({"x5c": ["MIIB"]})),
            ("certificate by address", json!({"x5u": "https://forger.example/cert"})),
        ];
        for (name, more) in cases {
            self.add(name, bring(more), TokenFault::Header, NOBODY);
        }
        for (name, kid) in [
            ("kid as a path", "../../../../dev/null"),
            ("kid as SQL", "x' UNION SELECT 'secret' -- "),
            ("kid as a command", "rs; cat /etc/passwd"),
            ("kid of an address", "https://forger.example/keys"),
            ("kid that begins as one", "rs\0"),
            ("kid in other letters", "RS"),
            ("kid blank", ""),
        ] {
            self.headed(name, json!({"kid": kid}), TokenFault::UnknownKey, NOBODY);
        }
        self.headed("kid as a number", json!({"kid": 7}), TokenFault::Malformed, NOBODY);
        self.headed(
            "kid far too long",
            json!({"kid": "k".repeat(300)}),
            TokenFault::UnknownKey,
            NOBODY,
        );
    }

    fn signatures(&mut self) {
        for algorithm in ALGORITHMS {
            let good = self.issuer.token(&header(algorithm), &claims());
            let (signed, signature) = good.rsplit_once('.').unwrap();
            let length = self.issuer.sign(algorithm, b"").len();
            for (name, signature) in [
                ("of zeros", base64(vec![0; length])),
                ("empty", String::new()),
                ("cut short", signature[..signature.len() / 2 / 4 * 4].to_owned()),
                ("of another text", base64(self.issuer.sign(algorithm, b"another"))),
            ] {
                let token = format!("{signed}.{signature}");
                let name = format!("signature {name}, {algorithm}");
                self.add(name, token, TokenFault::Signature, NOBODY);
            }
            let (head, _) = signed.split_once('.').unwrap();
            let raised = base64(claims_with(json!({"scope": "admin"})).to_string());
            let token = format!("{head}.{raised}.{signature}");
            self.add(format!("claims changed, {algorithm}"), token, TokenFault::Signature, NOBODY);
        }
    }

    fn shapes(&mut self) {
        let good = self.issuer.token(&header("ES256"), &claims());
        let parts: Vec<&str> = good.split('.').collect();
        for (name, token) in [
            ("nothing", String::new()),
            ("dots", "..".to_owned()),
            ("two parts", parts[..2].join(".")),
            ("four parts", format!("{good}.e30")),
            ("ordinary base64", format!("+/{good}")),
            ("a line break within", good.replacen('.', ".\n", 1)),
            (
                "claims that are no JSON",
                self.issuer.token_of("ES256", &header("ES256").to_string(), "{"),
            ),
            (
                "claims that are a list",
                self.issuer.token_of("ES256", &header("ES256").to_string(), "[]"),
            ),
        ] {
            self.add(name, token, TokenFault::Malformed, NOBODY);
        }
        self.add("padded", format!("{good}="), TokenFault::Malformed, PYJWT);
        self.add("encrypted", format!("{good}.e30.e30"), TokenFault::Nested, NOBODY);
        let more = claims().to_string().replacen('{', r#"{"sub":"other","#, 1);
        let token = self.issuer.token_of("ES256", &header("ES256").to_string(), &more);
        self.add("a claim twice", token, TokenFault::Malformed, BOTH);
        let more = header("ES256").to_string().replacen('{', r#"{"alg":"none","#, 1);
        let token = self.issuer.token_of("ES256", &more, &claims().to_string());
        self.add("an algorithm twice", token, TokenFault::Malformed, BOTH);
        let huge = claims_with(json!({"padding": "x".repeat(1_000_000)}));
        let token = self.issuer.token(&header("ES256"), &huge);
        self.add("a megabyte", token, TokenFault::TooLarge, BOTH);
        let deep = claims().to_string().replacen(
            '{',
            &format!(r#"{{"deep":{}{},"#, "[".repeat(500), "]".repeat(500)),
            1,
        );
        let token = self.issuer.token_of("ES256", &header("ES256").to_string(), &deep);
        self.add("nested too deep", token, TokenFault::Malformed, BOTH);
    }

    fn types(&mut self) {
        for (name, typ) in
            [("JWT", json!("JWT")), ("absent", json!(null)), ("ID", json!("id_token+jwt"))]
        {
            self.headed(&format!("typ {name}"), json!({"typ": typ}), TokenFault::Type, PYJWT);
        }
        self.headed("typ as a number", json!({"typ": 1}), TokenFault::Malformed, PYJWT);
        self.headed("a token in a token", json!({"cty": "JWT"}), TokenFault::Nested, BOTH);
        self.headed(
            "critical extension",
            json!({"crit": ["exp"], "exp": 1}),
            TokenFault::Header,
            PYJWT,
        );
        self.headed("compressed", json!({"zip": "DEF"}), TokenFault::Header, BOTH);
    }

    fn times(&mut self) {
        let exp = |exp: Value| json!({"exp": exp});
        self.claiming("exp a second inside the skew", exp(json!(NOW_S - SKEW_S + 1)), None, BOTH);
        self.claiming(
            "exp a second past the skew",
            exp(json!(NOW_S - SKEW_S)),
            TokenFault::Expired,
            NOBODY,
        );
        self.claiming("nbf inside the skew", json!({"nbf": NOW_S + SKEW_S}), None, BOTH);
        self.claiming(
            "nbf a second past the skew",
            json!({"nbf": NOW_S + SKEW_S + 1}),
            TokenFault::NotYet,
            NOBODY,
        );
        self.claiming(
            "iat a second past the skew",
            json!({"iat": NOW_S + SKEW_S + 1}),
            TokenFault::NotYet,
            JOSE,
        );
        self.claiming(
            "exp as text",
            exp(json!((NOW_S + 600).to_string())),
            TokenFault::Claim,
            PYJWT,
        );
        self.claiming("exp with a fraction", exp(json!(1_796_127_000.5)), TokenFault::Claim, BOTH);
        self.claiming("exp below zero", exp(json!(-1)), TokenFault::Claim, NOBODY);
        self.claiming("exp past all time", exp(json!(1e300)), TokenFault::Claim, BOTH);
        self.claiming("exp true", exp(json!(true)), TokenFault::Claim, NOBODY);
        self.claiming("exp absent", exp(json!(null)), TokenFault::Claim, NOBODY);
        self.claiming("nbf as text", json!({"nbf": "0"}), TokenFault::Claim, PYJWT);
        self.claiming("iat as text", json!({"iat": "0"}), TokenFault::Claim, PYJWT);
        self.claiming("iat absent", json!({"iat": null}), TokenFault::Claim, NOBODY);
    }

    fn claims(&mut self) {
        self.claiming(
            "another issuer",
            json!({"iss": "https://issuer.example"}),
            TokenFault::Issuer,
            NOBODY,
        );
        self.claiming("issuers in a list", json!({"iss": [ISSUER]}), TokenFault::Claim, NOBODY);
        self.claiming(
            "another audience",
            json!({"aud": "https://tillrace.example/"}),
            TokenFault::Audience,
            NOBODY,
        );
        self.claiming(
            "audiences in one text",
            json!({"aud": format!("x {AUDIENCE}")}),
            TokenFault::Audience,
            NOBODY,
        );
        self.claiming(
            "audience as an object",
            json!({"aud": {AUDIENCE: 1}}),
            TokenFault::Claim,
            NOBODY,
        );
        self.claiming("no audience", json!({"aud": []}), TokenFault::Audience, NOBODY);
        for name in ["iss", "aud", "sub", "client_id", "jti"] {
            self.claiming(
                &format!("{name} absent"),
                json!({name: null}),
                TokenFault::Claim,
                NOBODY,
            );
        }
        self.claiming(
            "client_id as a list",
            json!({"client_id": ["till-7"]}),
            TokenFault::Claim,
            BOTH,
        );
    }
}
