//! A network that resets, delays and swallows: between tills and gateway, sinks and back ends, processes and brokers.

use std::time::Duration;

use crate::cli::LogKind;
use crate::plan::Plan;
use crate::proxy::{LinkMode, Proxy};
use crate::scenario::Scenario;
use crate::site::Site;
use crate::stage::Stage;

/// Longer than the timeout of a back end's call (2 s) and of a till (10 s).
const SWALLOWS_FOR: Duration = Duration::from_secs(12);

/// Longer than a group session (6 s), a transaction (10 s) and a question to the brokers (10 s).
const SWALLOWS_BROKERS_FOR: Duration = Duration::from_secs(22);

const DELAY: Duration = Duration::from_millis(400);

/// A link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Tills,
    Backends,
    Brokers,
}

/// All links.
pub(super) const ALL: [Link; 3] = [Link::Tills, Link::Backends, Link::Brokers];

impl Scenario for Link {
    fn name(&self) -> &'static str {
        match self {
            Self::Tills => "network-tills",
            Self::Backends => "network-backends",
            Self::Brokers => "network-brokers",
        }
    }

    fn about(&self) -> &'static str {
        match self {
            Self::Tills => {
                "resets, delays of 400 ms and a black hole of 12 s between tills and gateway"
            }
            Self::Backends => {
                "resets, delays of 400 ms and a black hole of 12 s between sinks and back ends"
            }
            Self::Brokers => {
                "resets, delays of 400 ms and a black hole of 22 s to one broker, then to all"
            }
        }
    }

    fn log(&self) -> Option<LogKind> {
        (*self == Self::Brokers).then_some(LogKind::Kafka)
    }

    fn set_up(&self, _site: &Site, plan: &mut Plan) -> anyhow::Result<()> {
        plan.proxied_brokers = *self == Self::Brokers;
        Ok(())
    }

    fn inject(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        self.set(stage, LinkMode::Delay(DELAY));
        stage.pause(2_000..4_000);
        for _ in 0..3 {
            self.set(stage, LinkMode::Reset);
            stage.pause(50..800);
            self.set(stage, LinkMode::Open);
            stage.await_service("resets")?;
            stage.pause(200..800);
        }
        if *self == Self::Brokers {
            let one = stage.pick(stage.broker_proxies.len());
            stage.broker_proxies[one].set(LinkMode::BlackHole);
            std::thread::sleep(SWALLOWS_BROKERS_FOR);
            stage.broker_proxies[one].set(LinkMode::Open);
            stage.await_service("a black hole before one broker")?;
        }
        let since = stage.watch.now();
        self.set(stage, LinkMode::BlackHole);
        let is_brokers = *self == Self::Brokers;
        std::thread::sleep(if is_brokers { SWALLOWS_BROKERS_FOR } else { SWALLOWS_FOR });
        self.set(stage, LinkMode::Open);
        stage.await_service("a black hole")?;
        // What happens between a till and the gateway, the gateway cannot see.
        if *self != Self::Tills {
            stage.must_have_been_seen(since, "a black hole");
        }
        Ok(())
    }
}

impl Link {
    fn set(self, stage: &Stage<'_>, mode: LinkMode) {
        let one = |proxy: &Proxy| proxy.set(mode);
        match self {
            Self::Tills => one(&stage.till_proxy),
            Self::Backends => one(&stage.backend_proxy),
            Self::Brokers => stage.broker_proxies.iter().for_each(one),
        }
    }
}
