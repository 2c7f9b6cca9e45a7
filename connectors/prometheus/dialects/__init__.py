"""What each serving stack exports, one small file each."""
