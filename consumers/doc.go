// Package consumers is the vocabulary of the way from Kafka to Stytch: entities
// and their keys, the fields that a mapping may name, the mapping itself, the
// states of an entity and the reasons for them.
//
// transform turns source topics into desired states, ledger keeps them, apply
// plans and makes the API calls, stytch speaks the API.
package consumers
