package report

import (
	"time"

	"github.com/backstitch/backstitch/consumers"
)

// Format is the version of the JSON form. Fields are added, never renamed or removed;
// what cannot be said that way gets the next number.
const Format = 1

// Report is what a run would do, as a rehearsal found it.
type Report struct {
	Format int `json:"format"`
	Run    Run `json:"run"`
	// Verdict and all words are Finish's.
	Verdict Verdict `json:"verdict"`
	// Kinds: organizations first, each entity counted once.
	Kinds    []Kind    `json:"kinds"`
	Findings []Finding `json:"findings"`
	// Hashes are the members' password hashes by class, the most frequent first.
	Hashes []HashCount `json:"hashes"`
	// Roles are those that members are to have: first what the policy lacks, then the
	// most frequent; RolesLeftOut counts the others.
	Roles        []Role `json:"roles"`
	RolesLeftOut int64  `json:"roles_left_out,omitempty"`
	// Fields says how many entities have a value in each field: one that nobody has is
	// a slip of the mapping.
	Fields []Filled `json:"fields"`
	// Unfed are the rows of captured tables that become nothing.
	Unfed []Unfed `json:"unfed"`
	// Calls by endpoint of Stytch's API, the most frequent first.
	Calls    []Call   `json:"calls"`
	Estimate Estimate `json:"estimate"`
	// Change is what differs from a former report; nil without one.
	Change *Change `json:"change,omitempty"`
}

// Run says what was rehearsed, and with what.
type Run struct {
	// Name of the pipeline; Config is its file's name.
	Name   string `json:"name"`
	Config string `json:"config"`
	// Version of Backstitch.
	Version string `json:"version"`
	// Mapping is the digest of mapping and policies, as plan prints it.
	Mapping string `json:"mapping_digest"`
	// Source is the version of the PostgreSQL server; LSN the position that was read.
	Source   string    `json:"source_version"`
	Database string    `json:"source_database"`
	LSN      string    `json:"lsn"`
	Started  time.Time `json:"started_at"`
	Ended    time.Time `json:"ended_at"`
	// Roles says where the RBAC policy came from.
	Roles RolesFrom `json:"roles_from"`
	// Interrupted says why the rehearsal ended before everything was settled; "" if it
	// did not.
	Interrupted string `json:"interrupted,omitempty"`
	// Notices are sentences about what the rehearsal could not imitate or count.
	Notices []string `json:"notices,omitempty"`
}

// RolesFrom says where the roles came from that members may have.
type RolesFrom string

// The origins of the roles.
const (
	RolesOfProject RolesFrom = "project" // the Stytch project's policy, read through its API
	RolesOfFile    RolesFrom = "file"    // a policy that the person gave
	RolesUnknown   RolesFrom = "none"    // nobody said: every role was accepted
)

// Verdict answers whether the run would pass.
type Verdict string

// The verdicts.
const (
	Complete   Verdict = "complete"   // everything is in Stytch as the mapping says
	WithLosses Verdict = "losses"     // everything is in Stytch, some of it with a named loss
	Incomplete Verdict = "incomplete" // something waits for a person
	Unfinished Verdict = "unfinished" // the rehearsal ended before everything was settled
)

// Outcome is where an entity stands at the end.
type Outcome string

// The outcomes. An entity has exactly one.
const (
	Created  Outcome = "created"   // new in Stytch, as desired
	Updated  Outcome = "updated"   // was in Stytch before (adopted), now as desired
	WithLoss Outcome = "with_loss" // in Stytch, but for a named loss
	Parked   Outcome = "parked"    // waits for a person
	Blocked  Outcome = "blocked"   // waits for something parked
	Waiting  Outcome = "deferred"  // waits for a time, or for another entity
	Consent  Outcome = "awaiting_consent"
	Pending  Outcome = "pending" // its turn had not come
)

// Outcomes lists them in the order in which reports do.
var Outcomes = []Outcome{Created, Updated, WithLoss, Parked, Blocked, Waiting, Consent, Pending}

// Kind counts organizations, or members.
type Kind struct {
	Kind consumers.Kind `json:"kind"`
	// Entities is the sum of Outcomes.
	Entities int64             `json:"entities"`
	Outcomes map[Outcome]int64 `json:"outcomes"`
}

// Finding counts the entities, or rows, that share a cause.
type Finding struct {
	Class    Class          `json:"class"`
	Severity Severity       `json:"severity"`
	Kind     consumers.Kind `json:"kind,omitempty"` // "": rows of a table
	Count    int64          `json:"count"`
	// Title, Means and Fix are Finish's, where they are empty.
	Title string `json:"title"`
	Means string `json:"means"`
	Fix   string `json:"fix"`
	// Where is file:line of the mapping, "" where no line is to blame.
	Where string `json:"where,omitempty"`
	// Details divide the count by what is known of the cause: a SQLSTATE, a role, a
	// class of hashes, an error type of Stytch, a table. The most frequent first.
	Details []Detail `json:"details,omitempty"`
	// Samples are some of them, at most Samples.
	Samples []Sample `json:"samples"`
}

// Detail is a part of a finding's count.
type Detail struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// Samples bounds the keys that a finding or a change lists.
const Samples = 10

// Sample is an entity, or a row, by its keys. NewSample and RowSample make one of it.
type Sample struct {
	Organization string `json:"organization,omitempty"`
	// Key of the entity, or of the row.
	Key string `json:"key"`
	// Table of a row; "" for an entity.
	Table string `json:"table,omitempty"`
	// Other is the key that holds what this one wants, of a collision.
	Other string `json:"other,omitempty"`
	// Detail as in Finding.Details.
	Detail string `json:"detail,omitempty"`
}

// HashCount is a class of password hashes.
type HashCount struct {
	Class string `json:"class"`
	Count int64  `json:"count"`
	// Taken: Stytch has a type for it.
	Taken bool `json:"taken"`
}

// Role counts the members that are to have it.
type Role struct {
	Role    string `json:"role"`
	Members int64  `json:"members"`
	// Known: it is in the policy; true for every role where nobody said which there are.
	Known bool `json:"known"`
}

// Filled counts the entities that have a value in a field.
type Filled struct {
	Kind     consumers.Kind `json:"kind"`
	Field    string         `json:"field"`
	Entities int64          `json:"entities"`
}

// Unfed counts a table's rows that feed no entity.
type Unfed struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	// Keys of some of them, as redact.ShownKey shows them.
	Keys []string `json:"keys"`
}

// Call counts the requests to one endpoint.
type Call struct {
	Endpoint string `json:"endpoint"` // POST /v1/b2b/passwords/migrate
	Count    int64  `json:"count"`
	// Write: it changes something.
	Write bool `json:"write"`
	// Refused, of Count, with an error that no attempt would end; Throttled with 429.
	Refused   int64 `json:"refused"`
	Throttled int64 `json:"throttled"`
}

// Estimate says how long the calls of the real run take.
type Estimate struct {
	// Limits are paces that the run keeps. The first is the project's, of all calls.
	Limits []Limit `json:"limits"`
	// Seconds is the longest of the limits' times, Hours the same; Decides names that
	// limit.
	Seconds float64 `json:"seconds"`
	Hours   float64 `json:"hours"`
	Decides string  `json:"decides"`
	// Simulated is how long the calls took on the simulator's clock, in seconds, with
	// waits and repetitions; 0: not measured.
	Simulated float64 `json:"simulated_seconds"`
}

// Limit is a pace, and what it makes of its calls.
type Limit struct {
	Name  string  `json:"name"` // stytch.rate_limit, passwords/migrate
	Calls int64   `json:"calls"`
	Rate  float64 `json:"rate"` // calls per second
	// Seconds is Calls / Rate.
	Seconds float64 `json:"seconds"`
}
