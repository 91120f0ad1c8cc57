//! The gateway from the outside: real sockets, a log that fails when told to.

mod addresses;
mod authority;
mod batch;
mod connections;
mod domains;
mod drain;
mod duplicates;
mod harness;
mod hostile;
mod limits;
mod log;
mod outage;
mod parking;
mod rights;
mod samples;
mod single;
mod tls;
