package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/internal/redact"
)

// Workload keeps the legacy system in use: people sign up, rename themselves,
// change and swap addresses, get other roles and passwords, leave teams and join
// again, and are deleted, and so are teams.
type Workload struct {
	pool   *pgxpool.Pool
	legacy *Legacy
	rand   *rand.Rand
	rate   time.Duration
	serial int
	done   atomic.Int64
	counts []atomic.Int64 // by index into actions
}

// NewWorkload prepares a workload of perSecond transactions.
func NewWorkload(pool *pgxpool.Pool, legacy *Legacy, seed uint64, perSecond int) *Workload {
	return &Workload{
		pool: pool, legacy: legacy,
		rand:   rand.New(rand.NewPCG(seed, 1)),
		rate:   time.Second / time.Duration(max(1, perSecond)),
		counts: make([]atomic.Int64, len(actions)),
	}
}

// Done counts the transactions that committed.
func (w *Workload) Done() int64 { return w.done.Load() }

// Counts are the committed transactions by kind.
func (w *Workload) Counts() map[string]int64 {
	m := map[string]int64{}
	for i, a := range actions {
		m[a.name] = w.counts[i].Load()
	}
	return m
}

// action is one kind of transaction, with how often it happens among all.
type action struct {
	name   string
	weight int
	run    func(*Workload, context.Context, pgx.Tx) error
}

var actions = [...]action{
	{"sign-up", 20, (*Workload).signUp},
	{"rename", 20, (*Workload).rename},
	{"new address", 10, (*Workload).newAddress},
	{"addresses swapped", 4, (*Workload).swapAddresses},
	{"role", 15, (*Workload).changeRole},
	{"password", 10, (*Workload).changePassword},
	{"left a team", 6, (*Workload).leave},
	{"joined a team", 6, (*Workload).join},
	{"left and joined in one transaction", 4, (*Workload).rejoin},
	{"user deleted", 3, (*Workload).deleteUser},
	{"team created", 2, (*Workload).createTeam},
	{"team renamed", 3, (*Workload).renameTeam},
	{"team deleted", 1, (*Workload).deleteTeam},
}

// Run works until stop is closed or ctx ends.
func (w *Workload) Run(ctx context.Context, stop <-chan struct{}) error {
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	tick := time.NewTicker(w.rate)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		n, i := w.rand.IntN(total), 0
		for n >= actions[i].weight {
			n -= actions[i].weight
			i++
		}
		err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error { return actions[i].run(w, ctx, tx) })
		switch {
		case errors.Is(err, errNothing):
		case redact.SQLState(err) == "23505": // somebody has that address or membership already
		case err != nil:
			return fmt.Errorf("workload: %s: %w", actions[i].name, redact.SQLError(err))
		default:
			w.done.Add(1)
			w.counts[i].Add(1)
		}
	}
}

// errNothing: the row that was drawn is gone; the transaction is rolled back.
var errNothing = errors.New("nothing to do")

func exec(ctx context.Context, tx pgx.Tx, sql string, args ...any) error {
	tag, err := tx.Exec(ctx, sql, args...)
	if err == nil && tag.RowsAffected() == 0 {
		return errNothing
	}
	return err
}

// user draws a seeded user that is no trap: its address has no twin.
func (w *Workload) user() string {
	for {
		if i := w.rand.IntN(len(w.legacy.Users)); !isTwin(i) {
			return w.legacy.Users[i]
		}
	}
}

// team draws a team that is no trap and not the large one, whose deletion would
// end the show.
func (w *Workload) team() string {
	return w.legacy.Teams[2+w.rand.IntN(len(w.legacy.Teams)-2)]
}

func (w *Workload) hash() string { return w.legacy.Hashes[w.rand.IntN(len(w.legacy.Hashes))].Bcrypt }

func (w *Workload) next(what string) string {
	w.serial++
	return fmt.Sprintf("%s-%d", what, w.serial)
}

func (w *Workload) signUp(ctx context.Context, tx pgx.Tx) error {
	id := w.next("new-user")
	var verified any
	if w.rand.IntN(3) > 0 {
		verified = time.Now().UTC()
	}
	err := exec(ctx, tx, `INSERT INTO "User" (id, name, email, "emailVerified", password) VALUES ($1, $2, $3, $4, $5)`,
		id, "New Person "+id, id+"@signup.example", verified, w.hash())
	if err != nil {
		return err
	}
	return w.addMember(ctx, tx, w.team(), id)
}

// addMember skips teams that are gone.
func (w *Workload) addMember(ctx context.Context, tx pgx.Tx, team, user string) error {
	return exec(ctx, tx, `INSERT INTO "TeamMember" (id, "teamId", "userId", role)
		SELECT $1, t.id, u.id, t."defaultRole" FROM "Team" t, "User" u WHERE t.id = $2 AND u.id = $3`,
		w.next("new-member"), team, user)
}

func (w *Workload) rename(ctx context.Context, tx pgx.Tx) error {
	return exec(ctx, tx, `UPDATE "User" SET name = $2, "updatedAt" = now() WHERE id = $1`, w.user(), w.next("Renamed Person"))
}

func (w *Workload) newAddress(ctx context.Context, tx pgx.Tx) error {
	return exec(ctx, tx, `UPDATE "User" SET email = $2, "updatedAt" = now() WHERE id = $1`, w.user(), w.next("moved")+"@moved.example")
}

// swapAddresses exchanges two users' addresses in one transaction, through a
// third one that nobody outside ever sees.
func (w *Workload) swapAddresses(ctx context.Context, tx pgx.Tx) error {
	a, b := w.user(), w.user()
	if a == b {
		return errNothing
	}
	var emailA, emailB string
	err := tx.QueryRow(ctx, `SELECT a.email, b.email FROM "User" a, "User" b WHERE a.id = $1 AND b.id = $2 FOR UPDATE`, a, b).Scan(&emailA, &emailB)
	if errors.Is(err, pgx.ErrNoRows) {
		return errNothing
	}
	if err != nil {
		return err
	}
	for _, step := range [][2]string{{a, w.next("swap") + "@swap.example"}, {b, emailA}, {a, emailB}} {
		if err := exec(ctx, tx, `UPDATE "User" SET email = $2 WHERE id = $1`, step[0], step[1]); err != nil {
			return err
		}
	}
	return nil
}

func (w *Workload) changeRole(ctx context.Context, tx pgx.Tx) error {
	return exec(ctx, tx, `UPDATE "TeamMember" SET role = $2::text::"Role", "updatedAt" = now() WHERE "userId" = $1`,
		w.user(), roles[w.rand.IntN(len(roles))])
}

func (w *Workload) changePassword(ctx context.Context, tx pgx.Tx) error {
	return exec(ctx, tx, `UPDATE "User" SET password = $2, "updatedAt" = now() WHERE id = $1`, w.user(), w.hash())
}

func (w *Workload) leave(ctx context.Context, tx pgx.Tx) error {
	return exec(ctx, tx, `DELETE FROM "TeamMember" WHERE id = (SELECT id FROM "TeamMember" WHERE "userId" = $1 LIMIT 1)`, w.user())
}

func (w *Workload) join(ctx context.Context, tx pgx.Tx) error {
	return w.addMember(ctx, tx, w.team(), w.user())
}

// rejoin removes a membership and makes it again under another surrogate key: a
// pipeline that looks in between deletes a member with its sessions and password.
func (w *Workload) rejoin(ctx context.Context, tx pgx.Tx) error {
	var team, user, role string
	err := tx.QueryRow(ctx, `DELETE FROM "TeamMember" WHERE id = (SELECT id FROM "TeamMember" WHERE "userId" = $1 LIMIT 1)
		RETURNING "teamId", "userId", role::text`, w.user()).Scan(&team, &user, &role)
	if errors.Is(err, pgx.ErrNoRows) {
		return errNothing
	}
	if err != nil {
		return err
	}
	return exec(ctx, tx, `INSERT INTO "TeamMember" (id, "teamId", "userId", role) VALUES ($1, $2, $3, $4::text::"Role")`,
		w.next("rejoined"), team, user, role)
}

func (w *Workload) deleteUser(ctx context.Context, tx pgx.Tx) error {
	return exec(ctx, tx, `DELETE FROM "User" WHERE id = $1`, w.user())
}

func (w *Workload) createTeam(ctx context.Context, tx pgx.Tx) error {
	id := w.next("new-team")
	err := exec(ctx, tx, `INSERT INTO "Team" (id, name, slug) VALUES ($1, $2, $1)`, id, "New Team "+id)
	if err != nil {
		return err
	}
	return w.addMember(ctx, tx, id, w.user())
}

func (w *Workload) renameTeam(ctx context.Context, tx pgx.Tx) error {
	return exec(ctx, tx, `UPDATE "Team" SET name = $2, "updatedAt" = now() WHERE id = $1`, w.team(), w.next("Renamed Team"))
}

func (w *Workload) deleteTeam(ctx context.Context, tx pgx.Tx) error {
	return exec(ctx, tx, `DELETE FROM "Team" WHERE id = $1`, w.team())
}
