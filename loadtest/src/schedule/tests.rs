#![expect(clippy::float_cmp, reason = "the values are exact")]

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn black_friday(rate: f64, over: Duration) -> Schedule {
    Schedule::new(rate, Profile::BlackFriday { over, outage: 0.2 })
}

/// Adds the rate up in small steps: the integral as one would do it without knowing how.
fn summed(schedule: &Schedule, until: Duration) -> f64 {
    const STEPS: u32 = 40_000;
    let step = until / STEPS;
    let rates = (0..STEPS).map(|number| schedule.rate_at(step * number + step / 2));
    rates.sum::<f64>() * step.as_secs_f64()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_integral_is_what_small_steps_add_up_to(
        rate in 0.5_f64..50_000.0,
        over_s in 1.0_f64..5_000.0,
        at in 0.0_f64..1.2,
    ) {
        let over = Duration::from_secs_f64(over_s);
        let schedule = black_friday(rate, over);
        let at = over.mul_f64(at);
        let (exact, naive) = (schedule.events_by(at), summed(&schedule, at));
        prop_assert!((exact - naive).abs() <= 1e-4 * (rate * over_s), "{exact} {naive}");
    }

    #[test]
    fn an_event_is_due_when_as_many_were_due_before(
        rate in 0.5_f64..50_000.0,
        over_s in 1.0_f64..5_000.0,
        place in 0.0_f64..1.2,
    ) {
        let schedule = black_friday(rate, Duration::from_secs_f64(over_s));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
        let number = (rate * over_s * place) as u64;
        let due = schedule.due(number);
        prop_assert!(schedule.due(number + 1) > due);
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let error = schedule.events_by(due) - number as f64;
        // A nanosecond, in which a due time is given, is this many events.
        prop_assert!(error.abs() < 2.5e-9 * rate + 1e-9 * rate * over_s, "{error}");
    }
}

#[test]
fn a_constant_rate_spreads_events_evenly() {
    let schedule = Schedule::new(200.0, Profile::Constant);
    assert_eq!(schedule.due(0), Duration::ZERO);
    assert_eq!(schedule.due(50), Duration::from_millis(250));
    assert_eq!(schedule.due(200 * 3_600), Duration::from_hours(1));
    assert_eq!((schedule.events_by(MINUTE), schedule.rate_at(MINUTE)), (12_000.0, 200.0));
    assert_eq!(schedule.phases().len(), 1);
}

#[test]
fn without_a_rate_there_is_no_schedule() {
    let schedule = Schedule::new(0.0, Profile::Constant);
    assert!(!schedule.is_scheduled());
    assert_eq!((schedule.due(50), schedule.events_by(MINUTE)), (Duration::ZERO, 0.0));
}

#[test]
fn black_friday_has_its_phases_and_a_spike() {
    let schedule = black_friday(1_000.0, 100 * MINUTE);
    let phases: Vec<(&str, u64)> =
        schedule.phases().iter().map(|phase| (phase.name, phase.from.as_secs() / 60)).collect();
    let expected = [
        ("calm", 0),
        ("ramp", 12),
        ("spike", 22),
        ("plateau", 30),
        ("outage", 50),
        ("flood", 62),
        ("evening", 72),
    ];
    assert_eq!(phases, expected);
    let rate = |minute: u32| schedule.rate_at(minute * MINUTE).round();
    assert_eq!([rate(5), rate(17), rate(25), rate(40)], [300.0, 650.0, 2_500.0, 1_000.0]);
    assert_eq!([rate(55), rate(65), rate(86), rate(100)], [1_000.0, 1_000.0, 600.0, 200.0]);
    assert_eq!(schedule.events_by(100 * MINUTE).round(), 0.8515 * 6_000_000.0);
}

#[test]
fn past_its_end_a_profile_keeps_its_last_rate() {
    let schedule = black_friday(1_000.0, MINUTE);
    let all = schedule.events_by(MINUTE);
    let later = schedule.events_by(MINUTE + Duration::from_secs(1));
    assert!((later - all - 200.0).abs() < 10.0, "{}", later - all);
}

#[test]
fn the_outage_ends_where_the_flood_begins() {
    let profile = Profile::BlackFriday { over: 100 * MINUTE, outage: 0.3 };
    let outage = profile.outage().unwrap();
    assert_eq!(outage.from.as_secs(), 3_000);
    assert_eq!((outage.until.as_secs(), outage.back_by.as_secs()), (3_720, 4_020));
    assert_eq!(Profile::Constant.outage(), None);
}

#[test]
fn a_step_warms_up_before_it_is_measured() {
    let (warm_up, measured) = (Duration::from_secs(2), Duration::from_secs(5));
    let schedule = Schedule::new(100.0, Profile::Step { warm_up, measured });
    let names: Vec<&str> = schedule.phases().iter().map(|phase| phase.name).collect();
    assert_eq!(names, ["warm-up", Profile::MEASURED, "after"]);
    assert_eq!(schedule.phases()[1].until, Duration::from_secs(7));
    assert_eq!(schedule.due(200), Duration::from_secs(2));
    assert_eq!(schedule.events_by(warm_up + measured), 700.0);
}
