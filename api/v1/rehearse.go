package v1

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/lifecycle"
)

// rehearse replays requests on two versions, and answers how they differ.
func (a *API) rehearse(c *gin.Context) {
	name, err := modelName(c)
	var r wire.Rehearse
	if err == nil {
		err = a.readChange(c, fields{"version": &r.Version, "against": &r.Against, "limit": &r.Limit})
	}
	if err == nil {
		err = checkRehearsal(&r)
	}
	wait, badWait := waitOf(c)
	if err == nil {
		err = badWait
	}
	if err != nil {
		a.fail(c, err)
		return
	}
	operation, err := a.Manager.Rehearse(name, r)
	if err != nil {
		a.fail(c, err)
		return
	}
	if outcome, ended := a.await(c, operation, wait); ended {
		c.JSON(http.StatusOK, outcome.Divergence)
	}
}

func checkRehearsal(r *wire.Rehearse) error {
	switch {
	case r.Version < 1:
		return invalid("version", "expected the number of a version, from 1")
	case r.Against < 0:
		return invalid("against", "expected the number of a version, from 1; left out, it is the one in traffic")
	case r.Limit < 0 || r.Limit > lifecycle.MaxReplayed:
		return invalid("limit", fmt.Sprintf("expected a number of requests from 1 to %d", lifecycle.MaxReplayed))
	}
	return nil
}

// eraseCaptures removes what is kept of a model's requests.
func (a *API) eraseCaptures(c *gin.Context) {
	name, err := modelName(c)
	if err != nil {
		a.fail(c, err)
		return
	}
	gone, err := a.Manager.EraseCaptures(name, a.stamp(c))
	a.answer(c, http.StatusOK, gone, err)
}
