"""Looking at packed data: contact sheets, histograms, numbers that describe a cutout."""
