//! What can be asked of the Kafka log without a broker.
