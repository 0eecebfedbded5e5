package transform

import (
	"testing"
	"time"
)

// BenchmarkLoad evaluates a whole mapping once: 200,000 members of 20,000 teams.
func BenchmarkLoad(b *testing.B) {
	w := teamsWorld(b)
	const teams, users = 20_000, 200_000
	w.seed(teams, users)
	for b.Loop() {
		w.exec(`TRUNCATE backstitch.entities, backstitch.passes CASCADE`)
		started := time.Now()
		w.load()
		b.ReportMetric(float64(teams+users)/time.Since(started).Seconds(), "entities/s")
	}
}

// BenchmarkEvaluate follows batches of 1,000 changed users.
func BenchmarkEvaluate(b *testing.B) {
	w := teamsWorld(b)
	w.seed(2_000, 20_000)
	w.load()
	changes, started := 0, time.Duration(0)
	for b.Loop() {
		changes += 1000
		w.legacyOnly(`UPDATE users SET name = name || 'x' WHERE id <= 1000`)
		w.fill(touchInfo{})
		began := time.Now()
		w.evaluate()
		started += time.Since(began)
	}
	b.ReportMetric(float64(changes)/started.Seconds(), "changes/s")
}
