package main

import "log/slog"

// checkFiles returns why a file that the command line names cannot be used. newApp reads
// them again; what is wrong from the beginning is a fault of the command line.
func (c config) checkFiles() error {
	if _, err := loadProducers(c.PushKeyFile, c.PushJWTFile); err != nil {
		return err
	}
	_, err := openCertificate(c.TLSCert, c.TLSKey, slog.New(slog.DiscardHandler))
	return err
}
