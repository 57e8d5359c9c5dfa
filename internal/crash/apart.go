package crash

// Apart runs f on a goroutine of its own and returns its panic, or [ErrGoexit] if f has
// ended that goroutine. It is for functions that are called seldom, on a goroutine that
// must not end.
func Apart(f func()) (err error) {
	done := make(chan struct{})
	err = ErrGoexit
	go func() {
		defer close(done)
		returned := false
		defer func() {
			if v := recover(); v != nil {
				err = Of(v)
			} else if returned {
				err = nil
			}
		}()
		f()
		returned = true
	}()
	<-done
	return err
}
