// Package witness reads what Backstitch wrote with clients that it does not use:
// kcat, which is librdkafka, the source topics as a read_committed reader, kafka-go
// the apply topics, goavro the values. A client's bug cannot hide behind itself.
//
// kafka-go is not asked about the source topics: its read_committed delivers
// aborted records and control records as messages.
package witness
