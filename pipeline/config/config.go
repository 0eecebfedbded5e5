// Package config reads the one YAML file that describes a pipeline.
//
// The types below are the whole format: the tag key names a field's key in the
// file, default what it is when left out, doc what it means. The decoder, the JSON
// schema and the test of the example are driven by these tags, so that each is
// said once. Unknown, duplicate and wrongly typed keys are errors with file and
// line, all of them at once; keys of parts that are not built yet say so. No error
// ever shows a value (invariant 8).
package config

import (
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
)

// Config is a pipeline's configuration, complete with defaults.
type Config struct {
	Name             string           `key:"name" required:"yes" doc:"The pipeline's name: lower-case letters, digits and _, starting with a letter, at most 40. Connectors are called <name>-source, <name>-transform and <name>-apply."`
	Source           Source           `key:"source" required:"yes" doc:"The legacy database."`
	Kafka            Kafka            `key:"kafka" required:"yes" doc:"Where the topics are."`
	Ledger           Secret           `key:"ledger" required:"yes" doc:"Connection URL of a database of Backstitch's own, best on another server than the legacy database."`
	Stytch           Stytch           `key:"stytch" required:"yes" doc:"The Stytch B2B project."`
	ExternalIDPrefix ExternalIDPrefix `key:"external_id_prefix" doc:"What external ids in Stytch start with, before the key."`
	Organizations    Mapping          `key:"organizations" required:"yes" doc:"How rows become organizations."`
	Members          Members          `key:"members" doc:"How rows become members. Left out, only organizations are applied."`
	Deletes          Deletes          `key:"deletes" doc:"What happens to deletes."`
	Backfill         Backfill         `key:"backfill" doc:"How tables are read."`
	Sweep            time.Duration    `key:"sweep" default:"15m" min:"1s" doc:"How often, at most, the mapping is recomputed for tables without a route."`
	Audit            time.Duration    `key:"audit" default:"24h" min:"1m" doc:"How often the whole mapping is recomputed and compared, to find what a route missed, and the mirror compared with the source."`
	Verify           Verify           `key:"verify" doc:"Comparing the live Stytch project with the ledger while the pipeline runs."`
	Admin            Admin            `key:"admin" doc:"The status page and the admin API."`

	file  string
	lines map[string]int // by path of keys, such as "members.select"
}

// Source is the legacy database.
type Source struct {
	Postgres          Secret          `key:"postgres" required:"yes" doc:"Connection URL of a role that may replicate and read the tables."`
	Tables            []schemas.Table `key:"tables" required:"yes" doc:"The captured tables, written as in SQL: public.users, public.\"Team\"."`
	Slot              string          `key:"slot" doc:"The replication slot: its name, or a block with name and the keys below. Default name: backstitch_<prefix>."`
	SlotMaxRetained   int64           `key:"slot.max_retained" doc:"How much write-ahead log the slot may keep back on the source's server, such as 10GB (kB, MB, GB, TB, as PostgreSQL counts them, by 1024). 0 or left out: no limit."`
	SlotOnExceed      string          `key:"slot.on_exceed" default:"alert" oneof:"alert drop" doc:"What happens over slot.max_retained. alert: a warning and a metric. drop: the slot is dropped, to save the disk of the server; the pipeline is held until backfill --all reads every table again."`
	Publication       string          `key:"publication" doc:"The publication. Default backstitch_<prefix>."`
	CreatePublication bool            `key:"create_publication" default:"true" doc:"Create the publication and add tables to it. Needs ownership of the tables; false: someone else does it."`
	Heartbeat         time.Duration   `key:"heartbeat" default:"10s" min:"1s" max:"10m" doc:"How often a transaction of our own moves the slot of an idle database."`
}

// Kafka is where the topics are.
type Kafka struct {
	Brokers      []string     `key:"brokers" required:"yes" unless:"embedded" doc:"Bootstrap brokers, host:port."`
	TLS          KafkaTLS     `key:"tls" doc:"TLS to the brokers. Their certificates are always verified."`
	SASL         SASL         `key:"sasl" doc:"How we authenticate to the brokers."`
	Registry     string       `key:"registry" required:"yes" unless:"embedded" doc:"URL of a Confluent-compatible schema registry. Credentials in it are taken as registry_auth."`
	RegistryAuth RegistryAuth `key:"registry_auth" doc:"Basic authentication to the registry."`
	RegistryTLS  TLS          `key:"registry_tls" doc:"TLS to a registry whose URL is https, where the system's authorities do not suffice."`
	Topics       Topics       `key:"topics" doc:"The topics' names and shape."`

	Embedded       bool   `key:"embedded" default:"false" doc:"Run broker and registry inside backstitch run --until-caught-up, for small bases; in place of brokers and registry. kafka: embedded says the same in one word."`
	Memory         int64  `key:"memory" default:"512MB" doc:"How much of the topics the embedded broker may hold, compressed as they are; a run that needs more ends. 0: no limit."`
	RegistryListen string `key:"registry_listen" default:"127.0.0.1:0" doc:"Where the embedded registry listens, on this machine only. Port 0: any free one."`
}

// Topics are the topics' names and shape. Shape matters when a topic is created only.
type Topics struct {
	Prefix            string `key:"prefix" doc:"What topic names start with; also in the slot's and the publication's names. As restricted as name. Default: name."`
	Partitions        int    `key:"partitions" default:"12" min:"1" max:"1000" doc:"Partitions of each data topic and of both apply topics. The checkpoints topic has one."`
	ReplicationFactor int    `key:"replication_factor" default:"3" min:"1" max:"15" doc:"Copies of each partition."`
	Create            bool   `key:"create" default:"true" doc:"Create missing topics; false: check prints what to create."`
}

// Stytch is the project that is written to.
type Stytch struct {
	ProjectID string `key:"project_id" required:"yes" doc:"project-test-… or project-live-…."`
	Secret    Secret `key:"secret" required:"yes" doc:"The project's secret."`
	BaseURL   string `key:"base_url" doc:"Another address of the API: the simulator's, or a custom domain. Default: Stytch's, by the project id."`
	RateLimit Rate   `key:"rate_limit" default:"60/s" doc:"Our pace over all instances, below what Stytch allows the project."`
	Live      bool   `key:"live" default:"false" doc:"Confirms that a live project may be written to."`
}

// ExternalIDPrefix is what external ids start with. Changing one changes every external id.
type ExternalIDPrefix struct {
	Organizations string `key:"organizations" doc:"Before an organization's key: at most 32 of letters, digits, '.', '_', '-'."`
	Members       string `key:"members" doc:"Before a member's key: at most 32 of letters, digits, '.', '_', '-'."`
}

// Mapping says how rows become entities.
type Mapping struct {
	Select string `key:"select" required:"yes" doc:"A SELECT whose column names are Stytch's field names. It is SQL as it stands: ${…} is not replaced here."`
	Routes Routes `key:"routes" doc:"By table: which entities a changed row touches. Key column: column of the row; or a SELECT over the relation changed. One that is left out is derived from the SELECT where that is sound, as check prints it; else the table is swept, as TABLE: sweep has it in any case."`
}

// Members is the mapping of members.
type Members struct {
	Mapping              `key:",inline"`
	AssumeEmailsVerified bool   `key:"assume_emails_verified" default:"false" doc:"Count every address as verified. Stytch marks an address verified when it gets its password hash, so without this or the column email_verified no hash is migrated."`
	TemporaryEmailDomain string `key:"temporary_email_domain" doc:"Domain of the addresses through which members of one organization pass when they exchange theirs: Stytch keeps addresses unique at every moment. Left out, such members are parked."`
}

// Routes are a mapping's routes by table.
type Routes map[schemas.Table]consumers.Route

// Deletes is the policy for deletes.
type Deletes struct {
	Members       consumers.DeleteMode `key:"members" default:"apply" oneof:"apply hold" doc:"apply: sent, under the brake. hold: every one waits for backstitch approve."`
	Organizations consumers.DeleteMode `key:"organizations" default:"hold" oneof:"apply hold" doc:"As members."`
	MaxPerHour    int                  `key:"max_per_hour" default:"500" min:"0" doc:"The brake: over it, all unsent deletes wait for a person. An organization counts with its members."`
}

// Backfill says how tables are read.
type Backfill struct {
	Workers  int           `key:"workers" default:"2" min:"1" max:"4" doc:"Connections that read at once."`
	MaxPause time.Duration `key:"max_pause" default:"10s" min:"1s" max:"5m" doc:"How long the stream may stand still for a slice of a later backfill."`
}

// Verify says how often a running pipeline does what backstitch verify does.
type Verify struct {
	Every time.Duration `key:"every" default:"0s" min:"0s" doc:"How long after the last comparison the next one begins. 0s: only backstitch verify compares."`
	Share int           `key:"share" default:"10" min:"1" max:"100" doc:"Percent of stytch.rate_limit, and of Stytch's searches, that it may spend."`
}

// notYet are keys of the design whose parts are not built: refused, never ignored.
var notYet = map[string]string{
	"source.columns":           "column encryption",
	"encryption":               "column encryption",
	"organizations.sso":        "SSO connections",
	"sso":                      "SSO connections",
	"members.totp":             "TOTP secrets",
	"totp":                     "TOTP secrets",
	"organizations.recheck_at": "changes that come with time and not with a row",
	"members.recheck_at":       "changes that come with time and not with a row",
	"invitations":              "invitations as a kind of their own; map them as members",
}

// elsewhere are keys that a reader of other tools' configurations would try, and
// how the same is said here.
var elsewhere = map[string]string{
	"source.tls":                              inURL,
	"source.sslmode":                          inURL,
	"ledger.tls":                              inURL,
	"ledger.url":                              "Write ledger: URL",
	"kafka.registry.url":                      besideRegistry,
	"kafka.registry.tls":                      besideRegistry,
	"kafka.registry.auth":                     besideRegistry,
	"kafka.registry.username":                 besideRegistry,
	"kafka.tls.insecure":                      verified,
	"kafka.tls.insecure_skip_verify":          verified,
	"kafka.registry_tls.insecure":             verified,
	"kafka.registry_tls.enabled":              "Write kafka.registry with https://",
	"admin.insecure":                          "Write admin.plaintext: true where something in front of it ends TLS",
	"admin.tls.ca":                            "Clients of the admin API show the token, no certificate",
	"kafka.registry_tls.insecure_skip_verify": verified,
}

const (
	inURL          = "Put sslmode=verify-full, sslrootcert, sslcert and sslkey into the connection URL"
	besideRegistry = "Write kafka.registry: URL, its credentials under kafka.registry_auth and its certificates under kafka.registry_tls"
	verified       = "Certificates are always verified: name the authority that signed them under ca, and the name they carry under server_name"
)

// Mappings are the mappings in the form that transform compiles, organizations first.
func (c *Config) Mappings() []consumers.Mapping {
	m := []consumers.Mapping{{Kind: consumers.Organization, Select: c.Organizations.Select, Routes: c.Organizations.Routes}}
	if c.Members.Select != "" {
		m = append(m, consumers.Mapping{
			Kind: consumers.Member, Select: c.Members.Select, Routes: c.Members.Routes,
			AssumeEmailsVerified: c.Members.AssumeEmailsVerified,
		})
	}
	return m
}

// DeletePolicy is the policy for deletes in the form that apply follows.
func (c *Config) DeletePolicy() consumers.Deletes {
	return consumers.Deletes{Members: c.Deletes.Members, Organizations: c.Deletes.Organizations, MaxPerHour: c.Deletes.MaxPerHour}
}
