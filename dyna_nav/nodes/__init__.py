"""ROS only: messages in, messages out. No algorithm lives here, and nothing outside this folder imports rclpy."""
