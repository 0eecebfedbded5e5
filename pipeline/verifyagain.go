package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/verify"
	"github.com/backstitch/backstitch/internal/stage"
)

// verifyLook is how often it is asked whether the next verification is due.
const verifyLook = 30 * time.Second

// verifyAgain compares Stytch with the ledger whenever the last comparison, of any
// instance or person, is older than the configuration says: the body of a stage. It
// changes nothing, and an instance that stops leaves its run to the next one.
func (p *Pipeline) verifyAgain(ctx context.Context, stopping <-chan struct{}) error {
	if p.cfg.Verify.Every <= 0 {
		<-stopping
		return nil
	}
	ctx, end := stage.Until(ctx, stopping)
	defer end()
	tick := time.NewTicker(min(verifyLook, p.cfg.Verify.Every))
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := p.verifyIfDue(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil || errors.Is(err, ledger.ErrVerifying):
			said = ""
		case err.Error() != said: // a failure that repeats is said once
			said = err.Error()
			p.log.WarnContext(ctx, "Stytch could not be compared with the ledger; it is tried again", "error", err)
		}
	}
}

func (p *Pipeline) verifyIfDue(ctx context.Context) error {
	if p.state() != instanceRunning {
		return nil
	}
	last, err := ledger.LastVerification(ctx, p.pool)
	if err != nil || last != nil && time.Since(*last.Finished) < p.cfg.Verify.Every {
		return err
	}
	// connections of its own: the connectors' are few
	pool, err := ledger.Open(ctx, p.cfg.Ledger.Reveal(), p.cfg.Name+"-verify")
	if err != nil {
		return err
	}
	defer pool.Close()
	v, err := NewVerifier(p.cfg, p.clients, pool, VerifyOptions{
		By: p.instance.ID, Share: float64(p.cfg.Verify.Share) / 100, Logger: p.log,
	})
	if err != nil {
		return err
	}
	r, err := v.Run(ctx)
	if err != nil {
		return err
	}
	level := p.log.InfoContext
	if r.Verdict == verify.DriftFound {
		level = p.log.WarnContext
	}
	level(ctx, "Stytch was compared with the ledger; `backstitch verify` lists what was found", "verdict", r.Verdict, "run", r.Run, "lsn", r.LSN, "classes", r.Classes)
	return nil
}
