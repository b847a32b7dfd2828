"""Every file that passes between steps: its class, its writer, its reader."""
