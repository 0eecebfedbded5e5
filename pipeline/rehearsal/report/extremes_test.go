package report

import (
	"strings"
	"time"

	"github.com/backstitch/backstitch/consumers"
)

// hostile is a report whose names are an attack, and very long.
func hostile() *Report {
	const attack = `"><script>document.title="hacked"</script><img src=x onerror="document.title='hacked'">`
	long := strings.Repeat("0123456789abcdef", 40)
	r := &Report{
		Run: Run{
			Name: attack, Config: attack, Version: attack, Mapping: attack, Source: attack, Database: long, LSN: attack, Roles: RolesFrom(attack),
			Started: time.Unix(0, 0), Ended: time.Unix(1, 0), Interrupted: attack, Notices: []string{attack, long},
		},
		Roles: []Role{{attack, 3, false}, {long, 1, true}, {"javascript:alert(1)", 1, true}}, Hashes: []HashCount{{attack, 1, false}, {long, 2, true}},
		Unfed: []Unfed{{attack, 1, []string{attack, long}}, {long, 2, nil}}, Calls: []Call{{Endpoint: attack, Count: 1}, {Endpoint: long, Count: 2}},
		Fields:   []Filled{{consumers.Member, attack, 1}, {consumers.Member, long, 1}},
		Estimate: Estimate{Limits: []Limit{{Name: attack, Calls: 1, Rate: 0.5}, {Name: long, Calls: 1 << 50, Rate: 1}}},
		Findings: []Finding{
			{Class: Class(attack), Kind: consumers.Kind(attack), Count: 3, Where: attack, Details: []Detail{{attack, 2}, {long, 1}}, Samples: []Sample{{Organization: attack, Key: attack, Other: attack, Detail: attack, Table: attack}, {Organization: long, Key: long, Other: long}}},
			{Class: DuplicateEmail, Kind: consumers.Member, Count: 1, Title: attack, Means: attack, Fix: attack, Where: long},
		},
		Kinds: []Kind{{Kind: consumers.Member, Outcomes: map[Outcome]int64{Parked: 4, Created: 1}}},
	}
	r.Finish()
	group := ChangeGroup{2, []Sample{{Key: attack}, {Key: long}}}
	r.Change = &Change{
		Mapping: attack, LSN: attack, NoStates: attack, Verdict: Verdict(attack), Classes: []ClassChange{{Class(attack), attack, 1, 2}}, Fields: []FieldChange{{consumers.Member, long, 1, 2}},
		Kinds: []KindChange{{Kind: consumers.Member, Appeared: group, Vanished: group, Desired: group, Fields: []string{attack, long}, Moves: []Move{{Standing{Outcome(attack), Class(attack)}, Standing{Created, ""}, group}}}},
	}
	return r
}

// empty is a rehearsal of a mapping that returns nothing, compared with another one.
func empty() *Report {
	r := &Report{Run: Run{Name: "acme", Config: "acme.yaml", Roles: RolesUnknown, Started: time.Unix(0, 0), Ended: time.Unix(1, 0)}}
	r.Finish()
	r.Change = &Change{Kinds: []KindChange{{Kind: consumers.Organization}, {Kind: consumers.Member}}, SameMapping: true}
	return r
}

// millions is a large system without any trouble.
func millions() *Report {
	r := &Report{
		Run: Run{Name: "enterprise-identity-platform-europe", Config: "/etc/backstitch/enterprise.yaml", Version: "v1.4.0", Mapping: strings.Repeat("ab", 32), Source: "17.2", LSN: "FFFF/B374D848", Roles: RolesOfFile, Started: time.Unix(0, 0), Ended: time.Unix(9000, 0)},
		Kinds: []Kind{
			{Kind: consumers.Organization, Outcomes: map[Outcome]int64{Created: 1_000_000}},
			{Kind: consumers.Member, Outcomes: map[Outcome]int64{Created: 9_999_999, Updated: 1}},
		},
		Calls:    []Call{{Endpoint: "POST /v1/b2b/passwords/migrate", Count: 9_000_000, Write: true}, {Endpoint: "POST /v1/b2b/organizations/{organization_id}/members", Count: 1_000_000, Write: true}, {Endpoint: "POST /v1/b2b/organizations", Count: 1_000_000, Write: true}},
		Estimate: Estimate{Limits: []Limit{{Name: "stytch.rate_limit", Calls: 11_000_000, Rate: 65}, {Name: "passwords/migrate", Calls: 9_000_000, Rate: 100}}},
	}
	r.Finish()
	return r
}
