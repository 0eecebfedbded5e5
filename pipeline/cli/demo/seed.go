package demo

import (
	"context"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

//go:embed schema.sql
var schemaSQL string

// Size of the seeded legacy system.
type Size struct {
	Teams, Users int
	// Memberships is approximate: pairs that repeat are left out.
	Memberships int
	// Largest is the number of members of one team.
	Largest int
	Seed    uint64
}

// DefaultSize is what `make demo` seeds.
var DefaultSize = Size{Teams: 2000, Users: 20000, Memberships: 25000, Largest: 5000, Seed: 1}

// Legacy is the seeded system: what the workload draws from, and the traps by
// the keys that are expected to be parked.
type Legacy struct {
	Teams, Users []string // ids
	Hashes       []Hash
	// Refused are the ids of teams whose slug Stytch refuses: parked, and their
	// members blocked.
	Refused map[string]bool
	// CaseTwins are e-mail addresses, in lower case, that one team has twice: one
	// of the two members is parked.
	CaseTwins map[string]bool
}

// Hash is a bcrypt hash and the password it was made from.
type Hash struct{ Password, Bcrypt string }

// seeder draws everything from one generator, so that a seed is a legacy system.
type seeder struct {
	rand   *rand.Rand
	size   Size
	legacy *Legacy
	users  [][]any
	teams  [][]any
	member [][]any
	pairs  map[[2]int]bool
}

// Seed creates the schema and fills it.
func Seed(ctx context.Context, conn *pgx.Conn, size Size) (*Legacy, error) {
	if _, err := conn.Exec(ctx, schemaSQL); err != nil {
		return nil, fmt.Errorf("create the legacy schema: %w", err)
	}
	s := &seeder{
		rand:   rand.New(rand.NewPCG(size.Seed, 0)),
		size:   size,
		legacy: &Legacy{Hashes: precomputed(), Refused: map[string]bool{}, CaseTwins: map[string]bool{}},
		pairs:  map[[2]int]bool{},
	}
	s.makeTeams()
	s.makeUsers()
	s.makeMembers()
	return s.legacy, s.write(ctx, conn)
}

// hashesTSV holds passwords and their bcrypt hashes of cost 10, computed beforehand:
// fifty of them cost as much time as seeding everything else.
//
//go:embed hashes.tsv
var hashesTSV string

func precomputed() []Hash {
	var hashes []Hash
	for line := range strings.Lines(hashesTSV) {
		if password, hash, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			hashes = append(hashes, Hash{Password: password, Bcrypt: hash})
		}
	}
	return hashes
}

func (s *seeder) id() string {
	var b [16]byte
	for i := range b {
		b[i] = byte(s.rand.Uint32())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // a version 4 UUID, as the application makes them
	return uuid.UUID(b).String()
}

var teamWords = []string{"Acme", "Blue", "Cobalt", "Delta", "Ember", "Fjord", "Grove", "Harbour", "Ionic", "Juniper", "Kite", "Löwe", "Métro", "東京", "Ørsted"}

func (s *seeder) makeTeams() {
	for i := range s.size.Teams {
		id := s.id()
		slug := fmt.Sprintf("team-%d", i)
		if i == 1 {
			slug = "é" // Stytch takes 2 to 128 of A-Z a-z 0-9 - . _ ~
			s.legacy.Refused[id] = true
		}
		var domain any
		if i%10 == 0 {
			domain = fmt.Sprintf("team%d.example", i)
		}
		name := teamWords[s.rand.IntN(len(teamWords))] + fmt.Sprintf(" %d", i)
		s.legacy.Teams = append(s.legacy.Teams, id)
		s.teams = append(s.teams, []any{id, name, slug, domain})
	}
}

var userNames = []string{"Ada Byron", "Zoë Müller", "Søren Ås", "渡辺 花子", "Иван Петров", "José Peña", "Mary-Ann O'Neil", "Nguyễn Thị"}

func (s *seeder) makeUsers() {
	verified := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for i := range s.size.Users {
		email := fmt.Sprintf("user%d@corp%d.example", i, i%97)
		switch twin := i - 1; {
		case i%500 == 1 && i > 1: // differs from the user before only in case, in another team
			email = strings.ToUpper(fmt.Sprintf("user%d", twin)) + fmt.Sprintf("@corp%d.example", twin%97)
		case i == 1: // differs from user 0 only in case, and both are in team 0
			email = "USER0@corp0.example"
			s.legacy.CaseTwins["user0@corp0.example"] = true
		}
		var name, hash, at any
		if i%13 != 0 {
			name = userNames[s.rand.IntN(len(userNames))] + fmt.Sprintf(" %d", i)
		}
		if i%10 != 3 {
			hash = s.legacy.Hashes[s.rand.IntN(len(s.legacy.Hashes))].Bcrypt
		}
		if i%7 != 5 {
			at = verified
		}
		id := s.id()
		s.legacy.Users = append(s.legacy.Users, id)
		s.users = append(s.users, []any{id, name, email, at, hash})
	}
}

func (s *seeder) makeMembers() {
	s.join(0, 0)
	s.join(0, 1)
	loners := s.size.Users / 20 // users in no team: the last twentieth
	social := s.size.Users - loners
	for u := 2; u < social && len(s.member) < s.size.Largest; u++ {
		if !isTwin(u) {
			s.join(0, u) // the large team
		}
	}
	s.join(1, 3) // the team whose slug Stytch refuses has members too
	s.join(1, 4)
	for u := 2; u < social; u++ {
		if u >= s.size.Largest || isTwin(u) {
			s.joinAny(u)
		}
	}
	for tries := 0; len(s.member) < s.size.Memberships && tries < 4*s.size.Memberships; tries++ {
		s.joinAny(2 + s.rand.IntN(max(1, social-2)))
	}
}

// joinAny puts a user into some team in which no case twin of theirs is.
func (s *seeder) joinAny(user int) {
	if s.size.Teams < 4 {
		return
	}
	team := 2 + s.rand.IntN(s.size.Teams-2)
	if isTwin(user) { // even teams for one, odd teams for the other
		team = 2 + (team-2)/2*2 + user%500
		if team >= s.size.Teams {
			team -= 2
		}
	}
	s.join(team, user)
}

// isTwin: the address of this user differs from a neighbour's only in case.
func isTwin(user int) bool { return user%500 <= 1 }

var roles = []string{"MEMBER", "MEMBER", "MEMBER", "ADMIN"}

func (s *seeder) join(team, user int) {
	pair := [2]int{team, user}
	if s.pairs[pair] || user >= len(s.legacy.Users) || team >= len(s.legacy.Teams) {
		return
	}
	s.pairs[pair] = true
	role := roles[s.rand.IntN(len(roles))]
	if user%20 == 0 {
		role = "OWNER"
	}
	s.member = append(s.member, []any{s.id(), s.legacy.Teams[team], s.legacy.Users[user], role})
}

func (s *seeder) write(ctx context.Context, conn *pgx.Conn) error {
	for _, t := range []struct {
		table   string
		columns []string
		rows    [][]any
	}{
		{"Team", []string{"id", "name", "slug", "domain"}, s.teams},
		{"User", []string{"id", "name", "email", "emailVerified", "password"}, s.users},
	} {
		if _, err := conn.CopyFrom(ctx, pgx.Identifier{t.table}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
			return fmt.Errorf("fill %s: %w", t.table, err)
		}
	}
	// The enum has no binary form that CopyFrom knows: send memberships as text.
	_, err := conn.Exec(ctx, `CREATE TEMP TABLE member_seed (id text, team text, "user" text, role text)`)
	if err != nil {
		return err
	}
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{"member_seed"}, []string{"id", "team", "user", "role"}, pgx.CopyFromRows(s.member)); err != nil {
		return fmt.Errorf("fill TeamMember: %w", err)
	}
	for _, sql := range []string{
		`INSERT INTO "TeamMember" (id, "teamId", "userId", role) SELECT id, team, "user", role::"Role" FROM member_seed`,
		`DROP TABLE member_seed`,
		`INSERT INTO "Invitation" (id, "teamId", email, token, expires, "invitedBy", "allowedDomains")
		 SELECT 'inv-' || "teamId", "teamId", 'guest@elsewhere.example', 'token-' || "teamId", '2030-01-01', min("userId"), ARRAY['elsewhere.example']
		 FROM "TeamMember" GROUP BY "teamId" ORDER BY "teamId" LIMIT 200`,
		`ANALYZE`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("fill the legacy system: %w", err)
		}
	}
	return nil
}
