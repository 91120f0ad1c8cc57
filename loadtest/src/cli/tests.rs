use super::*;

fn parse(words: &[&str]) -> Result<Cli, String> {
    let words = ["tillrace-loadtest", "--key", "k"].iter().chain(words);
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    cli.fault().map_or(Ok(cli), |fault| Err(fault.to_owned()))
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn shares_are_percentages_or_fractions() {
    assert_eq!(share("5%"), Ok(0.05));
    assert_eq!(share("0.05"), Ok(0.05));
    assert!(share("101%").is_err() && share("-1%").is_err() && share("x").is_err());
    let cli = parse(&["--duplicates", "5%", "--disorder", "0.1"]).unwrap();
    assert_eq!((cli.schedule.duplicates, cli.schedule.disorder), (0.05, 0.1));
}

#[test]
fn an_option_without_effect_is_refused() {
    for words in [
        &["--replay", "tpcds", "--stores", "3"][..],
        &["--replay", "tpcds", "--bad", "3%"],
        &["--datasets", "here"],
        &["--verify"],
        &["--kafka", "b:1"],
        &["--settle", "3s"],
        &["--verify", "--kafka", "b:1", "--tap", "c"],
        &["--verify", "--tap", "c", "--kafka-property", "a=b"],
        &["--print", "--json", "x"],
        &["--print", "--html", "x"],
        &["--p99-limit", "3ms"],
        &["--step", "3s"],
        &["--warm-up", "3s"],
        &["--outage", "3%"],
        &["--profile", "constant", "--outage", "3%"],
        &["--profile", "black-friday", "--rate", "0"],
        &["--profile", "black-friday", "--limit", "3"],
        &["--profile", "black-friday", "--replay", "tpcds"],
        &["--profile", "black-friday", "--offline", "3%"],
        &["--find-knee", "--rate", "0"],
        &["--find-knee", "--step", "0s"],
        &["--find-knee", "--profile", "black-friday"],
        &["--find-knee", "--duration", "3s"],
        &["--find-knee", "--limit", "3"],
        &["--find-knee", "--epoch", "3"],
        &["--find-knee", "--replay", "tpcds"],
        &["--find-knee", "--gaps", "3"],
        &["--find-knee", "--offline", "3%"],
        &["--find-knee", "--verify", "--kafka", "b:1"],
        &["--find-knee", "--print"],
        &["--print", "--batch", "3"],
        &["--json", "-", "--html", "-"],
    ] {
        assert!(parse(words).is_err(), "{words:?}");
    }
}

#[test]
fn data_sets_are_named_in_order() {
    let cli = parse(&["--replay", "tpcds,completejourney"]).unwrap();
    assert_eq!(cli.replay.replay, [Set::Tpcds, Set::CompleteJourney]);
}

#[test]
fn a_profile_and_a_search_take_their_options() {
    let day = parse(&["--profile", "black-friday", "--outage", "30%", "--duration", "5m"]).unwrap();
    assert_eq!(day.schedule.profile, ProfileName::BlackFriday);
    assert_eq!(day.schedule.outage, Some(0.3));
    let knee = parse(&["--find-knee", "--p99-limit", "20ms", "--step", "1s", "--warm-up", "0s"]);
    let knee = knee.unwrap().knee;
    assert_eq!((knee.p99_limit.as_millis(), knee.step.as_secs()), (20, 1));
    assert!(knee.warm_up.is_zero());
}
