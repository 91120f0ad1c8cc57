use proptest::prelude::*;

use super::*;

const MAX: usize = 64;

/// Feeds a body in steps of `step` bytes and collects texts; `None` stands for one too large.
fn split(
    format: Format,
    body: &[u8],
    step: usize,
) -> (Vec<Option<String>>, Result<(), Malformed>, usize) {
    let mut splitter = Splitter::new(format, MAX, 3);
    let (mut found, mut most_held) = (Vec::new(), 0);
    let mut steps = body.chunks(step.max(1));
    loop {
        let step = steps.next();
        let ended = step.is_none();
        splitter.buffer().extend_from_slice(step.unwrap_or_default());
        loop {
            let scanned = splitter.scan(ended);
            found.extend(splitter.pieces().iter().map(|piece| match piece {
                Piece::Event(range) => {
                    Some(String::from_utf8_lossy(&splitter.text()[range.clone()]).into_owned())
                }
                Piece::TooLarge => None,
            }));
            splitter.advance();
            most_held = most_held.max(splitter.text().len());
            match scanned {
                Ok(true) => break,
                Ok(false) => {}
                Err(malformed) => return (found, Err(malformed), most_held),
            }
        }
        if ended {
            return (found, Ok(()), most_held);
        }
    }
}

fn texts(found: &[&str]) -> Vec<Option<String>> {
    found.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn lines_are_split_and_empty_ones_skipped() {
    let body = b"\xef\xbb\xbf{\"a\":1}\r\n\n  \t\n {\"b\":2} \n{\"c\":3}";
    for step in 1..=body.len() {
        let (found, result, _) = split(Format::Lines, body, step);
        assert_eq!(found, texts(&["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]), "step {step}");
        assert_eq!(result, Ok(()));
    }
}

/// As a shell joins files that a Windows program wrote.
#[test]
fn a_byte_order_mark_may_begin_any_line() {
    let body =
        "\u{feff}{\"a\":1}\n\u{feff}{\"b\":2}\n \u{feff}\n\u{feff} {\"c\":3}\n\u{feff}\u{feff}{}";
    for step in 1..=body.len() {
        let (found, result, _) = split(Format::Lines, body.as_bytes(), step);
        assert_eq!(
            found,
            texts(&["{\"a\":1}", "{\"b\":2}", "{\"c\":3}", "\u{feff}{}"]),
            "step {step}"
        );
        assert_eq!(result, Ok(()));
    }
    let body = "[{},\u{feff}{}]".as_bytes();
    assert_eq!(
        split(Format::Array, body, 3).0,
        texts(&["{}", "\u{feff}{}"]),
        "no line begins here"
    );
}

#[test]
fn elements_of_an_array_are_split_whatever_is_in_their_strings() {
    let body = br#" [ {"a":"],[{\"\\"} ,{"b":[1,{"c":{}}]},"x,]", 12 ,[],null,{}] "#;
    let expected = texts(&[
        r#"{"a":"],[{\"\\"}"#,
        r#"{"b":[1,{"c":{}}]}"#,
        "\"x,]\"",
        "12",
        "[]",
        "null",
        "{}",
    ]);
    for step in 1..=body.len() {
        let (found, result, _) = split(Format::Array, body, step);
        assert_eq!((found, result), (expected.clone(), Ok(())), "step {step}");
    }
}

#[test]
fn a_malformed_array_still_yields_what_stood_before() {
    for (body, before) in [
        (&b"{}"[..], &[][..]),
        (b"[{}", &["{}"]),
        (b"[{}{}]", &["{}"]),
        (b"[{},]", &["{}"]),
        (b"[,{}]", &[]),
        (b"[{}]x", &["{}"]),
        (b"[{}]]", &["{}"]),
        (b"[{\"a\":1", &[]),
        (b"", &[]),
        (b"[1 2]", &["1"]),
    ] {
        let (found, result, _) = split(Format::Array, body, 2);
        assert_eq!(found, texts(before), "{body:?}");
        assert_eq!(result, Err(Malformed), "{body:?}");
    }
    assert_eq!(split(Format::Array, b" [ ] ", 2), (vec![], Ok(()), 0));
}

#[test]
fn an_event_over_the_limit_is_reported_once_and_not_kept() {
    let long = "y".repeat(1_000_000);
    for (format, body) in [
        (Format::Lines, format!("{{}}\n\"{long}\"\n{{}}\n")),
        (Format::Array, format!("[{{}},\"{long}\",{{}}]")),
    ] {
        for step in [7, 500, 4_096] {
            let (found, result, most_held) = split(format, body.as_bytes(), step);
            assert_eq!(found, [Some("{}".to_owned()), None, Some("{}".to_owned())]);
            assert_eq!(result, Ok(()));
            assert!(most_held <= MAX + step, "{most_held} bytes held at step {step}");
        }
    }
    let exact = "z".repeat(MAX);
    assert_eq!(split(Format::Lines, format!("{exact}\n").as_bytes(), 9).0, [Some(exact.clone())]);
    assert_eq!(split(Format::Lines, format!("{exact}z\n").as_bytes(), 900).0, [None]);
}

#[test]
fn what_is_no_event_is_ready_to_be_forgotten() {
    const STEP: usize = 4_096;
    for (format, head, endless) in [
        (Format::Lines, "", "\n"),
        (Format::Lines, "", "y"),
        (Format::Lines, "{}\n", "y"),
        (Format::Lines, "", " "),
        (Format::Array, "", " "),
        (Format::Array, "[", " "),
        (Format::Array, "[\"", "y"),
        (Format::Array, "[{},[", "["),
    ] {
        let mut splitter = Splitter::new(format, MAX, 3);
        splitter.buffer().extend_from_slice(head.as_bytes());
        for _ in 0..100 {
            splitter.buffer().extend_from_slice(endless.repeat(STEP).as_bytes());
            while !splitter.scan(false).unwrap() {
                splitter.advance();
            }
            if splitter.ready_bytes() >= 2 * STEP {
                splitter.advance();
            }
            let held = splitter.text().len();
            assert!(held <= 4 * STEP, "{held} bytes of {endless:?} after {head:?}");
        }
    }
}

#[test]
fn a_million_brackets_cost_no_stack() {
    let body = "[".repeat(1_000_000);
    let (found, result, _) = split(Format::Array, body.as_bytes(), 65_536);
    assert_eq!((found, result), (vec![None], Err(Malformed)));
}

proptest! {
    /// Whatever the bytes and the steps, both formats agree with themselves fed at once.
    #[test]
    fn steps_do_not_matter(
        body in prop::collection::vec(prop::sample::select(b"[]{},\"\\ \n1a".to_vec()), 0..80),
        step in 1_usize..20,
    ) {
        for format in [Format::Lines, Format::Array] {
            let at_once = split(format, &body, 1_000);
            let stepped = split(format, &body, step);
            prop_assert_eq!((at_once.0, at_once.1), (stepped.0, stepped.1));
        }
    }

    /// Elements that `serde_json` writes come back as they were.
    #[test]
    fn an_array_comes_back_element_by_element(strings in prop::collection::vec(".{0,12}", 0..9)) {
        let elements: Vec<_> =
            strings.iter().map(|text| serde_json::json!({ "a": text }).to_string()).collect();
        let body = format!("[{}]", elements.join(" ,\n"));
        let kept: Vec<_> = elements.iter().map(|e| (e.len() <= MAX).then(|| e.clone())).collect();
        prop_assert_eq!(split(Format::Array, body.as_bytes(), 5).0, kept);
    }
}
